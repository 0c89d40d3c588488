"""The command `livemosaic`; `python -m livemosaic` where it is not on the path."""

from livemosaic.process import starting


def main() -> None:
    """Runs the command, whose imports are a second without garbage collection and more with it."""
    with starting():
        from livemosaic.cli import main as run
    run()


if __name__ == "__main__":
    main()
