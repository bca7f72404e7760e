"""`python -m compofa.profiler` is `compofa-profile`."""

from compofa.profiler.commands import main

if __name__ == "__main__":
    main()
