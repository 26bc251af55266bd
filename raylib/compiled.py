"""Functions compiled by numba. Imported only where they are used, because numba takes a while to load."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeVar, cast

from numba import njit

__all__ = ["compiled"]

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(*, nogil: bool = False, inline: Literal["never", "always"] = "never") -> Callable[[Function], Function]:
    """A decorator that compiles a function, and keeps the machine code on disk for the next process.

    numba keeps it beside the module or else in the user's cache, and refuses where neither can be written, as in a
    container with a read-only file system. There the function is compiled again by each process.

    Args:
        nogil: Whether other threads of Python run meanwhile.
        inline: Whether numba puts the code in place of each call.

    Returns:
        The decorator.
    """

    def decorate(function: Function) -> Function:
        try:
            return cast("Function", njit(cache=True, nogil=nogil, inline=inline)(function))
        except RuntimeError as error:
            if "no locator available" not in str(error):
                raise
            return cast("Function", njit(nogil=nogil, inline=inline)(function))

    return decorate
