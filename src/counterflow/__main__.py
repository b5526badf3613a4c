"""`python -m counterflow` is the command line."""

from .cli.app import main

main()
