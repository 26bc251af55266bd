"""What was read from a file, kept in memory until the file is another one."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

__all__ = ["kept_while_unchanged"]

Arguments = ParamSpec("Arguments")
Content = TypeVar("Content")
Reader = Callable[Concatenate[str, Arguments], Content]


def kept_while_unchanged(most: int) -> Callable[[Reader[Arguments, Content]], Reader[Arguments, Content]]:
    """A decorator for a function that reads a file: what it gave is given again while the file is the same.

    The path alone does not tell that: a relative one means another file after the working folder has changed, and a
    file may be edited between two cells of a notebook.

    Args:
        most: Number of contents that are kept.

    Returns:
        The decorator of a function whose first argument is the path; the others must be hashable.
    """

    def decorate(read: Reader[Arguments, Content]) -> Reader[Arguments, Content]:
        def read_version(
            path: str, _version: tuple[str, int, int, int], /, *arguments: Arguments.args, **named: Arguments.kwargs
        ) -> Content:
            return read(path, *arguments, **named)

        of_version: Callable[..., Content] = functools.lru_cache(maxsize=most)(read_version)

        @functools.wraps(read)
        def kept(path: str, /, *arguments: Arguments.args, **named: Arguments.kwargs) -> Content:
            try:
                status = os.stat(path)
            except OSError:  # the reader says what is wrong
                return read(path, *arguments, **named)
            version = os.path.abspath(path), status.st_ino, status.st_size, status.st_mtime_ns
            return of_version(path, version, *arguments, **named)

        return kept

    return decorate
