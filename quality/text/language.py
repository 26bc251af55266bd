"""The language, Chinese or English, in which to ask a model about a text."""

from __future__ import annotations

import math
from typing import Literal

__all__ = ["prompt_language"]

_LOOKED_AT = 400  # characters


def prompt_language(text: str, *, letters_per_character: float = math.inf) -> Literal["zh", "en"]:
    """Decide in which language to ask about a text, by its first 400 characters.

    Args:
        text: The text.
        letters_per_character: Largest number of Latin letters per Chinese character in a text that counts as Chinese.
            By default a single Chinese character is enough.

    Returns:
        `zh` if the text counts as Chinese, otherwise `en`.
    """
    head = text[:_LOOKED_AT]
    chinese = sum("\u4e00" <= c <= "\u9fff" for c in head)
    if not chinese:
        return "en"
    letters = sum(c.isascii() and c.isalpha() for c in head)
    return "zh" if letters <= letters_per_character * chinese else "en"
