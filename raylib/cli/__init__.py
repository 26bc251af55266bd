"""The `raylib` command."""

from raylib.cli.app import app, main

__all__ = ["app", "main"]
