"""The command `livemosaic`; `python -m livemosaic` where it is not on the path."""

from livemosaic.cli import main

if __name__ == "__main__":
    main()
