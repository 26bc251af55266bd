"""White space and line breaks."""

from __future__ import annotations

import itertools
import re

import pyarrow as pa
import pyarrow.compute as pc

from cleaning.codepoints import HAN, HAN_RE2, codepoints, han_flags
from cleaning.declare import rewrite
from cleaning.protected import is_mark, outside
from cleaning.texts import replaced, rewrite_each
from raylib.stage.bounds import Share

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
    unit="share of Han characters",
    examples=(
        ("小 虫儿 的 名字 草丛 里 住 着 一 只 硬壳虫儿 。", "小虫儿的名字草丛里住着一只硬壳虫儿。"),
        ("第一条 为了规范。县长在工地上强调 质量第一", "第一条 为了规范。县长在工地上强调 质量第一"),
        ("plain English text", "plain English text"),
    ),
)
def join_han_spaces(texts: pa.Array, *, latin: bool = True, min_share: Share = 0.3) -> pa.Array:
    """Remove white space next to Han characters and Chinese punctuation, where it stands between most words.

    Text that was segmented into words, or read by OCR, has a space behind every second character. In other text a
    space between Han characters was put there by its writer, and stays: titles, mottos, verse, lists. Line breaks
    stay, and so does the layout of code, tables, Markdown, statutes and verse.

    Args:
        texts: String array.
        latin: Whether a space between a Han character and a Latin word or number is removed too. If false, only spaces
            between Han characters or next to Chinese punctuation are removed (typographic style).
        min_share: Least number of gaps between Han characters for each Han character, 0 to 1; 0 takes every space.
    """
    marks = f"[{HAN_RE2}{_CJK_MARKS}]"
    gap = f"{marks}{_BLANK}|{_BLANK}{marks}"
    pattern = _AFTER_ANY if latin else _BETWEEN

    def joined(free: pa.Array) -> pa.Array:
        where = pc.match_substring_regex(free, gap)
        return rewrite_each(free, lambda s: pattern.sub("", s), where=where)

    if not min_share:
        return joined(texts)
    gaps = pc.fill_null(pc.count_substring_regex(texts, f"[{HAN_RE2}] +"), 0).to_numpy(zero_copy_only=False)
    view = codepoints(texts)
    segmented = gaps > min_share * view.count(han_flags(view))
    if not segmented.any():
        return texts
    rows = pa.array(segmented)
    return pc.replace_with_mask(texts, rows, outside(texts.filter(rows), joined))


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


_PAIR = 2
_LABELLED = re.compile(rf"[{HAN}A-Za-z]{{1,8}}[:：]")  # 译者：, 现代文：
_PAUSE = re.compile("[，。；、,;]")  # the first line of a paragraph has one, its title has none
_WIDEST = 80  # characters: no page or screen wraps behind more Han characters


def _full_lines(lines: list[str], min_width: int, slack: int) -> list[bool]:
    """Which lines are full: as wide as most of their paragraph, and no paragraph of their own."""
    full = [False] * len(lines)
    at = 0
    for blank, group in itertools.groupby(lines, lambda line: not line.strip()):
        block = list(group)
        if not blank:
            # one long line between paragraphs must not set the width
            widths = sorted((len(line) for line in block[:-1]), reverse=True)
            common = widths[len(widths) // 4] if widths else 0
            alike = sum(abs(width - common) <= slack for width in widths)
            # two lines are a title and its text as often as a paragraph; lines of songs and lists differ in width
            wrapped = len(block) > _PAIR and alike > 1 and 2 * alike >= len(widths)
            for i, line in enumerate(block):
                full[at + i] = wrapped and min_width <= len(line) <= _WIDEST and len(line) >= common - slack
        at += len(block)
    return full


def _unwrap(text: str, min_width: int, slack: int) -> str:
    lines = text.split("\n")
    full = _full_lines(lines, min_width, slack)
    goes_on = [
        (
            full[i]
            and len(line) <= len(before) + slack  # a hard wrap has no wider line
            and not _ENDS_SENTENCE.search(before)
            and not _STARTS_BLOCK.match(line)
            and not _LABELLED.match(line)
            and (_PAUSE.search(before) is not None or (i > 0 and bool(lines[i - 1].strip())))
            and not is_mark(before[-1:] or " ")
            and _STARTS_INSIDE.match(line) is not None
        )
        for i, (before, line) in enumerate(itertools.pairwise(lines))
    ]
    for i in range(len(goes_on) - 1, -1, -1):  # what is joined has to end a sentence: a title and its author do not
        ends = i + 1 < len(goes_on) and goes_on[i + 1]
        goes_on[i] = goes_on[i] and (ends or _ENDS_SENTENCE.search(lines[i + 1]) is not None)
    out = [lines[0]]
    for i, (before, line) in enumerate(itertools.pairwise(lines)):
        if not goes_on[i]:
            out.append("\n" + line)
        elif before[-1:].isascii() and before[-1:].isalnum() and line[0].isascii():
            out.append(" " + line)
        else:
            out.append(line)
    return "".join(out)


@rewrite(
    examples=(
        (
            "那天早晨的雾很大，他沿着河边慢慢地走，心里想着昨天夜里发\n生的事情，一直走到了桥头才停下来，看见水面上漂着一只空\n船。\n桥上一个人也没有。",
            "那天早晨的雾很大，他沿着河边慢慢地走，心里想着昨天夜里发生的事情，一直走到了桥头才停下来，看见水面上漂着一只空船。\n桥上一个人也没有。",
        ),
    )
)
def unwrap_lines(texts: pa.Array, *, min_width: int = 15, slack: int = 3) -> pa.Array:
    """Join hard-wrapped lines of books and PDF files where a sentence continues.

    A line is joined with the next one if both belong to a paragraph of equally wide lines, the line does not end a
    sentence, and the next one continues a sentence: no indent, no heading, no list mark. Verse, tables, code and short
    lines stay.

    Args:
        texts: String array.
        min_width: Least width of a line that may be full, in characters.
        slack: Largest difference between full lines, in characters.
    """
    wrapped = rf"[^\n。！？…]{{{min_width},}}\n[^\n]"

    def unwrapped(free: pa.Array) -> pa.Array:
        return rewrite_each(free, lambda s: _unwrap(s, min_width, slack), where=pc.match_substring_regex(free, wrapped))

    return outside(texts, unwrapped, candidates=pc.match_substring_regex(texts, wrapped))
