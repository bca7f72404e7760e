"""`python -m compofa.supernet` is `compofa-train`."""

from compofa.supernet.commands.train_command import main

if __name__ == "__main__":
    main()
