"""`python -m relay` is the command line."""

from relay.cli import main

main()
