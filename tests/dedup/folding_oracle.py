"""Folding once more, character by character and by the words of the documentation: what the fast form must equal."""

from __future__ import annotations

import itertools
import re
import unicodedata

from dedup.characters import DECORATIONS, Level, form

__all__ = ["folded", "unified"]

WIDE = ((0x2E80, 0x30FF), (0x3400, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3347F))
DIVIDING = ",;.!·:?'\"()[]{}—"


def kind(character: str, level: Level) -> str:
    """`W` a Han or kana word, `A` a letter, `N` a digit, ` ` white space, `S` a sign; else the mark itself, or `。`."""
    category = unicodedata.category(character)
    if character.isspace():
        return " "
    asian = any(low <= ord(character) <= high for low, high in WIDE)
    known = category[0] in "LNM" or character > "\uffff"  # Python's tables may be older than a character
    if asian and (known or (level == "strict" and character in "、。《》〈〉")):
        return "W"
    if category[0] in "LM":
        return "A" if character <= "\uffff" else "S"
    if category[0] == "N":
        return "N" if character <= "\uffff" else "S"
    if level != "strict" and character in DIVIDING:
        return character
    if level == "strict" or category[0] != "P" or category in ("Pc", "Pd") or character in "#%&*@/\\-~_‰‱′″‴§†‡":
        return "S"
    return "。"


def parts(kinds: list[str], gaps: str) -> list[tuple[int, int, str, str]]:
    """Runs of gaps: where each begins and ends, and what stands on its sides; edges are like Han words."""
    found = []
    for is_gap, group in itertools.groupby(range(len(kinds)), lambda i: kinds[i] in gaps):
        places = list(group)
        if is_gap:
            first, last = places[0], places[-1] + 1
            sides = [kinds[i] if 0 <= i < len(kinds) else "W" for i in (first - 1, last)]
            found.append((first, last, sides[0], sides[1]))
    return found


def strict(text: str) -> str:
    kinds = [kind(c, "strict") for c in text]
    out = list(text)
    for first, last, left, right in parts(kinds, " "):
        run = text[first:last]
        new = "" if "W" in (left, right) else "\n" + run.rsplit("\n", 1)[1] if "\n" in run else " "
        out[first:last] = [new, *[""] * (last - first - 1)]
    return "".join(out)


def lowered(text: str) -> str:
    """Lower case, but for the first two letters behind a number."""
    kinds = [kind(c, "standard") for c in text]

    def numbered(place: int) -> bool:
        behind = "".join(kinds[max(0, place - 2) : place])
        return behind.endswith("N") or behind == "N "

    out = []
    for i, c in enumerate(text):
        unit = kinds[i] == "A" and (numbered(i) or (i > 0 and kinds[i - 1] == "A" and numbered(i - 1)))
        out.append(c if unit or kinds[i] not in "AW" or len(c.casefold()) > 1 or c > "\uffff" else c.casefold())
    return "".join(out)


def belongs(text: str, kinds: list[str], place: int) -> bool:
    """Whether a mark belongs to one neighbour: .5, .NET, 5!, n!, !n, != and 5'."""
    around = [kinds[i] if 0 <= i < len(kinds) else "W" for i in (place - 2, place - 1, place + 1)]
    if text[place] == ".":
        return around[2] in "AN"
    if text[place] == "!":
        lone = around[1] == "A" and around[0] != "A"
        negates = (place == 0 or around[1] in " S()[]{}") and around[2] in "A()[]{}"
        return around[1] == "N" or lone or text[place - 1 : place] == ")" or around[2] == "S" or negates
    return text[place] in "'\"" and around[1] == "N"


def standard(text: str) -> str:
    kinds = [kind(c, "standard") for c in text]
    text = lowered(text)
    gone = [False] * len(text)
    for first, last, left, right in parts(kinds, " 。" + DIVIDING):
        if left == right == "W":
            gone[first:last] = [True] * (last - first)
    gaps = [k if k in " 。" + DIVIDING.strip("()[]{}—") else "S" for k in kinds]
    gaps = [
        "x" if gone[i] else "S" if k in "()[]{}—" else g if g != "S" else k
        for i, (k, g) in enumerate(zip(kinds, gaps, strict=True))
    ]
    out = ["" if gone[i] else "-" if c == "—" else c for i, c in enumerate(text)]
    for first, last, left, right in parts(gaps, " 。" + DIVIDING.strip("()[]{}—")):
        out[first:last] = gap(text, kinds, first, last, left if left != "x" else "W", right if right != "x" else "W")
    return "".join(out)


def gap(text: str, kinds: list[str], first: int, last: int, left: str, right: str) -> list[str]:
    """What a gap becomes."""
    places, run = range(first, last), text[first:last]
    hard = "W" not in (left, right)
    tight = hard and not set(kinds[first:last]) & {" ", "。"}
    if tight and set(run) - set(",;"):
        return list(run)
    numbers = left == right == "N"
    stays = [
        (tight and numbers and run == ",")
        or belongs(text, kinds, i)
        or (text[i] == ":" and numbers)
        or (text[i] == "·" and hard)
        for i in places
    ]
    out = [text[i] if stays[i - first] else "" for i in places]
    lost = [i for i in places if not stays[i - first] and kinds[i] != " "]
    if lost and hard:
        out[lost[0] - first] = " "
    elif not lost and not any(stays) and left in "AN" and right in "AN":
        out[0] = " "
    return out


def loose(text: str) -> str:
    kinds = ["*" if c in DECORATIONS or "\U0001f300" <= c < "\U0001fb00" else kind(c, "standard") for c in text]
    out = list(text)
    for first, last, left, right in parts(kinds, "* "):
        new = "" if "W" in (left, right) or left == right == "A" else " "
        out[first:last] = [new, *[""] * (last - first - 1)]
    return "".join(out)


def folded(text: str, level: Level) -> str:
    """The folded form of a text.

    Args:
        text: The text.
        level: How much is ignored.
    """
    if level == "none":
        return text
    stricter: Level = "standard" if level == "loose" else "strict" if level == "standard" else "none"
    composed = unicodedata.normalize("NFC", text)
    formed = unicodedata.normalize("NFC", "".join(form(c, level) for c in composed))
    if level == "strict":
        return strict(formed) or folded(text, stricter)
    plain = standard(formed)
    return (loose(plain) if level == "loose" else plain) or folded(text, stricter)


def unified(text: str, level: Level) -> str:
    """The form of a text in shingles: marks of the same meaning are one, and so is a run of white space.

    Args:
        text: The text.
        level: How much is ignored, `loose` apart.
    """
    if level == "none":
        return text
    composed = unicodedata.normalize("NFC", text)
    formed = unicodedata.normalize("NFC", "".join(form(c, level, marks=True) for c in composed))
    squeezed = re.sub(" +", " ", formed)
    if level != "strict":
        squeezed = "".join(c.casefold() if len(c.casefold()) == 1 and c < "\uffff" else c for c in squeezed)
    return squeezed or text
