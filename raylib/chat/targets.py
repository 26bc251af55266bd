"""The text of an answer: what a model has to write after the generation prompt, up to the token that stops it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from raylib.errors import RecordError

__all__ = ["Target", "ending", "target_of"]

# `<think>`, `<seed:think>`, `[THINK]` ... at the end of a prompt, and after it perhaps the tag that closes it
_TAG = r"<[^<>\s/]*(?:think|thought|reason)[^<>\s]*>|\[THINK\]"
_OPENING = re.compile(rf"(?P<tag>{_TAG})(?P<gap>\s*)(?P<closed></[^<>\s]+>\s*|\[/THINK\]\s*)?\Z", re.IGNORECASE)
_EMPTY = re.compile(rf"\s*(?:{_TAG})\s*(?:</[^<>\s]+>|\[/THINK\])\s*", re.IGNORECASE)
_OPEN = re.compile(rf"\s*(?:{_TAG})\s*", re.IGNORECASE)
_CLOSING = re.compile(r"\s*(?:</[^<>\s]*(?:think|thought|reason)[^<>\s]*>|\[/THINK\])\s*", re.IGNORECASE)
_THOUGHT = re.compile(rf"\s*(?:{_TAG}).*?(?:{_CLOSING.pattern})", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Target:
    """An answer as text.

    Attributes:
        reasoning: Text up to the answer itself: reasoning with its tags.
        text: The answer, up to and including what ends it.
    """

    reasoning: str
    text: str


def target_of(before: str, after: str, reasoning: str) -> tuple[str, bool]:
    """What a model has to write.

    Args:
        before: The conversation up to the answer, with the generation prompt.
        after: The conversation with the answer.
        reasoning: Reasoning of the answer; empty if it has none.

    Returns:
        The text after the generation prompt, and whether it is what the template wrote there: where the prompt ends
        inside the reasoning, templates often write a finished answer otherwise.

    Raises:
        RecordError: The generation prompt asks for reasoning and the record has none, or the template writes the answer
            in another place.
    """
    opening = _OPENING.search(before)
    follows = after.startswith(before)
    if opening is None:
        if not follows:
            raise RecordError("template_rewrites", "the template does not write the answer after its generation prompt")
        return after[len(before) :], True
    if opening["closed"]:
        return _after_closed(before, after, opening, follows=follows), follows
    if not reasoning:
        raise RecordError(
            "needs_reasoning",
            f"the generation prompt ends in {opening['tag']}, and the answer has no reasoning; a template option may "
            "turn that off (often enable_thinking: false)",
        )
    if follows and reasoning.strip() in after[len(before) :]:
        return after[len(before) :], True
    return _continued(before, after, opening, reasoning), False


def _after_closed(before: str, after: str, opening: re.Match[str], *, follows: bool) -> str:
    """An answer after a prompt that ends with reasoning that is empty."""
    if follows:
        return after[len(before) :]
    head = before[: opening.start()]
    if not after.startswith(head):
        raise RecordError("template_rewrites", "the template does not write the answer after its generation prompt")
    rest = after[len(head) :]
    empty = _EMPTY.match(rest)
    if empty:
        return rest[empty.end() :]
    if _OPEN.match(rest):
        raise RecordError(
            "reasoning_not_rendered", "the generation prompt has closed the reasoning that the answer has"
        )
    return rest


def _continued(before: str, after: str, opening: re.Match[str], reasoning: str) -> str:
    """Reasoning and answer after a prompt that has opened the reasoning."""
    head = before[: opening.start()]
    if not after.startswith(head):
        raise RecordError("template_rewrites", "the template does not write the answer after its generation prompt")
    rest = after[len(head) :]
    if reasoning.strip() in rest:
        opened = _OPEN.match(rest)
        return rest[opened.end() :] if opened else rest
    empty = _EMPTY.match(rest)
    answer = rest[empty.end() :] if empty else rest
    tag = opening["tag"]
    closing = tag.replace("<", "</", 1) if tag.startswith("<") else tag.replace("[", "[/", 1)
    lines = "\n" in opening["gap"]
    return f"{reasoning.strip()}\n{closing}\n\n{answer}" if lines else f"{reasoning.strip()}{closing}{answer}"


def ending(text: str, special: re.Pattern[str] | None, stops: Sequence[str]) -> tuple[str, str, bool]:
    """Cut a text after the token that stops its generation.

    Args:
        text: What a template writes after the generation prompt.
        special: Pattern of special tokens.
        stops: Tokens at which the model is known to stop.

    Returns:
        The text up to and including that token, what follows it, and whether there is such a token. Of the special
        tokens at the end of the text it is the first at which the model is known to stop, otherwise the last.
    """
    last = None
    end = len(text)
    found = list(special.finditer(text)) if special else []
    for token in reversed(found):
        if text[token.end() : end].strip():
            break
        if last is None or token.group() in stops:
            last = token
        end = token.start()
    if last is None:
        return text, "", False
    return text[: last.end()], text[last.end() :], True


def split_reasoning(text: str, reasoning: str, content: str) -> int:
    """Where the answer itself begins in a text that begins with reasoning.

    Args:
        text: What is learnt.
        reasoning: Reasoning of the answer.
        content: Content of the answer.

    Returns:
        A position; 0 without reasoning.
    """
    found = text.find(reasoning.strip()) if reasoning.strip() else -1
    if found < 0:  # an empty thought, or one that the content holds
        thought = _EMPTY.match(text) or _THOUGHT.match(text)
        return thought.end() if thought else 0
    end = found + len(reasoning.strip())
    bare = content.strip()
    at = text.find(bare, end) if bare else -1
    if at >= 0:
        return at
    closing = _CLOSING.match(text, end)
    return closing.end() if closing else end
