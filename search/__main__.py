"""`python -m compofa.search` is `compofa-search`."""

from compofa.search.commands.search_command import main

if __name__ == "__main__":
    main()
