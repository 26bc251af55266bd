"""Answers of an endpoint: what came back, what it cost, and the JSON object in a text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Generic, TypeVar

import orjson

from raylib.errors import RaylibError

__all__ = ["Answer", "Malformed", "Usage", "read_json"]

T_co = TypeVar("T_co", covariant=True)


class Malformed(RaylibError, ValueError):
    """An answer cannot be used. Raised by the function that parses it; the request is then repeated."""


@dataclass(frozen=True)
class Answer(Generic[T_co]):
    """One answer of an endpoint.

    Attributes:
        value: The parsed answer; None if there is none.
        error: Why there is none.
        cached: Whether the answer came from the cache.
        may_pass: Whether there is none for a reason that may pass: the question is worth asking again.
    """

    value: T_co | None
    error: str = ""
    cached: bool = False
    may_pass: bool = False


@dataclass
class Usage:
    """Counts of what a client did, failed and malformed answers included.

    Attributes:
        requests: Requests sent.
        retries: Requests that repeated another.
        cached: Answers taken from the cache.
        malformed: Answers that the parser refused.
        refused: Questions that the server refused.
        failed: Questions that got no usable answer.
        tokens_in: Tokens of the prompts, as the server counted them.
        tokens_out: Tokens of the answers, as the server counted them.
        cost: Cost of those tokens at the prices given.
    """

    requests: int = 0
    retries: int = 0
    cached: int = 0
    malformed: int = 0
    refused: int = 0
    failed: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0

    def take(self) -> dict[str, float]:
        """The counts since the last call."""
        taken = dict(vars(self))
        for name, value in taken.items():
            setattr(self, name, type(value)(0))
        return taken


def read_json(text: str) -> dict[str, object]:
    """Read the JSON object in an answer, also inside a code fence or between words.

    Args:
        text: Text of an answer.

    Returns:
        The object.

    Raises:
        Malformed: If there is none.
    """
    fenced = re.search(r"```(?:json)?\s*(\{.*?\})\s*```", text, re.S)
    start, end = text.find("{"), text.rfind("}")
    for candidate in (text, fenced.group(1) if fenced else "", text[start : end + 1] if 0 <= start < end else ""):
        try:
            value = orjson.loads(candidate)
        except orjson.JSONDecodeError:
            continue
        if isinstance(value, dict):
            return value
    raise Malformed(f"no JSON object in {text[:80]!r}")
