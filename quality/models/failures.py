"""Failures of single requests to an endpoint: those that may pass, refusals, and what servers say about them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    import httpx

__all__ = ["Refused", "Unanswered", "cause", "retry_after", "said"]

_SAID = 200  # characters of a server's message that are shown


class Unanswered(Exception):
    """A request failed in a way that may pass.

    Attributes:
        reason: What happened.
        wait: Seconds that the server asked to wait.
        status: Status of the response; 0 if there was none.
        slow: Whether the time was over.
    """

    def __init__(self, reason: str, wait: float = 0.0, *, status: int = 0, slow: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.wait, self.status, self.slow = reason, wait, status, slow


class Refused(Exception):
    """The server refuses this question, such as for its content, and will refuse it again; others it may answer."""


def said(response: httpx.Response) -> str:
    """The server's own message, in one line.

    Args:
        response: A response other than 200.
    """
    text = response.text
    try:
        data = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        data = None
    if isinstance(data, dict):
        found = data.get("error") or data.get("message") or data.get("detail") or text
        text = str(found.get("message") or found) if isinstance(found, dict) else str(found)
    return " ".join(text.split())[:_SAID].rstrip(".。 ")


def cause(error: BaseException) -> str:
    """What the operating system says about a broken connection; otherwise the error itself.

    Args:
        error: What the client raised.
    """
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OSError) and inner.strerror:
            # asyncio puts words of its own in place of the system's
            return os.strerror(inner.errno) if inner.errno and inner.errno > 0 else inner.strerror
        inner = inner.__cause__ or inner.__context__
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds that a response asks to wait; 0 if it does not say.

    Args:
        headers: Headers of the response.
    """
    try:
        return max(0.0, float(headers.get("retry-after", 0)))
    except ValueError:
        return 0.0
