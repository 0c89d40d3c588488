"""`python -m livemosaic`, for where the command is not on the path."""

from livemosaic.cli import main

main()
