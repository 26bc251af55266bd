"""White space and line breaks."""

from __future__ import annotations

import itertools
import re
import statistics

import pyarrow as pa
import pyarrow.compute as pc

from cleaning.codepoints import HAN, HAN_RE2
from cleaning.declare import rewrite
from cleaning.texts import replaced, rewrite_each

__all__ = ["collapse_newlines", "join_han_spaces", "normalise_whitespace", "unwrap_lines"]

_CJK_MARKS = "，。！？：；（）、“”‘’《》「」『』【】…—"
_BLANK = r"[ \t\x{a0}\x{3000}]"
_BLANK_PY = "[ \t\u00a0\u3000]"
_AFTER_ANY = re.compile(rf"(?<=[{HAN}{_CJK_MARKS}]){_BLANK_PY}+|(?<!{_BLANK_PY}){_BLANK_PY}+(?=[{HAN}{_CJK_MARKS}])")
_BETWEEN = re.compile(
    rf"(?<=[{HAN}]){_BLANK_PY}+(?=[{HAN}])|(?<=[{_CJK_MARKS}]){_BLANK_PY}+"
    rf"|(?<!{_BLANK_PY}){_BLANK_PY}+(?=[{_CJK_MARKS}])"
)


@rewrite(
    examples=(
        ("中 国 abc 好 1 x", "中国abc好1 x"),
        ("他说 ： 你好\n 再见", "他说：你好\n再见"),
        ("plain English text", "plain English text"),
    )
)
def join_han_spaces(texts: pa.Array, *, latin: bool = True) -> pa.Array:
    """Remove white space next to Han characters and Chinese punctuation; line breaks stay.

    Args:
        texts: String array.
        latin: Whether a space between a Han character and a Latin word or number is removed too. If false, only spaces
            between Han characters or next to Chinese punctuation are removed (typographic style).
    """
    marks = f"[{HAN_RE2}{_CJK_MARKS}]"
    hit = pc.match_substring_regex(texts, f"{marks}{_BLANK}|{_BLANK}{marks}")
    pattern = _AFTER_ANY if latin else _BETWEEN
    return rewrite_each(texts, lambda s: pattern.sub("", s), where=hit)


@rewrite(examples=(("a\r\n\n\n\nb", "a\n\nb"), ("第一行\n \n\t\n第二行", "第一行\n\n第二行")))
def collapse_newlines(texts: pa.Array, *, max_blank: int = 1) -> pa.Array:
    """Remove carriage returns and shorten runs of blank lines; a line of white space counts as blank.

    Args:
        texts: String array.
        max_blank: Number of blank lines that stay of a run.
    """
    texts = replaced(texts, "\r", "")
    return replaced(texts, rf"\n(?:{_BLANK}*\n){{{max_blank + 1},}}", "\n" * (max_blank + 1))


@rewrite(examples=(("a\u2003b\x0bc  ", "a b c"),))
def normalise_whitespace(texts: pa.Array) -> pa.Array:
    """Turn Unicode spaces, vertical tabs and other separators into ordinary spaces, and trim both ends.

    Args:
        texts: String array.
    """
    texts = replaced(texts, r"[\x{a0}\x{1680}\x{2000}-\x{200a}\x{202f}\x{205f}\x{3000}\x{0b}\x{0c}\x{85}]", " ")
    trimmed = pc.utf8_trim_whitespace(texts)
    return texts if trimmed.equals(texts) else trimmed


_ENDS_SENTENCE = re.compile(r"[。！？!?…：:；;”’」』》）)\].]\s*$")
_STARTS_BLOCK = re.compile(r"\s|[#>*\-+|•·（(【\[第]|\d+[.、．)）]|[一二三四五六七八九十]+[、.．]")
_STARTS_INSIDE = re.compile(rf"[{HAN}a-z“‘《，。！？；：、]")


def _unwrap(text: str, min_width: int) -> str:
    lines = text.split("\n")
    widths = [len(line) for line in lines if len(line) >= min_width]
    if len(widths) < 2:
        return text
    full = max(min_width, int(0.8 * statistics.median(widths)))
    out = [lines[0]]
    for before, line in itertools.pairwise(lines):
        goes_on = (
            len(before) >= full
            and not _ENDS_SENTENCE.search(before)
            and not _STARTS_BLOCK.match(line)
            and _STARTS_INSIDE.match(line) is not None
        )
        if not goes_on:
            out.append("\n" + line)
        elif before[-1:].isascii() and before[-1:].isalnum() and line[0].isascii():
            out.append(" " + line)
        else:
            out.append(line)
    return "".join(out)


@rewrite(
    examples=(
        (
            "那天早晨的雾很大，他沿着河边慢慢地走，心里想着昨天夜里发\n生的事情，一直走到了桥头才停下来。\n桥上一个人也没有。",
            "那天早晨的雾很大，他沿着河边慢慢地走，心里想着昨天夜里发生的事情，一直走到了桥头才停下来。\n桥上一个人也没有。",
        ),
    )
)
def unwrap_lines(texts: pa.Array, *, min_width: int = 15) -> pa.Array:
    """Join hard-wrapped lines of books where a sentence continues.

    A line is joined with the next one if it is full (at least 0.8 of the median width of wide lines), does not end a
    sentence, and the next line continues a sentence: no indent, no heading, no list mark. Verse and short lines stay.

    Args:
        texts: String array.
        min_width: Least width of a line that may be full, in characters.
    """
    hit = pc.match_substring_regex(texts, rf"[^\n。！？…]{{{min_width},}}\n[^\n]")
    return rewrite_each(texts, lambda s: _unwrap(s, min_width), where=hit)
