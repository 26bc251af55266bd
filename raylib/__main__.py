"""`python -m raylib`."""

from raylib.cli import main

main()
