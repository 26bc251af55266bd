r"""The recogniser of protected stretches in one text.

Blocks come first: fenced code, displayed formulas, tables, lines of code, verse. What stands inside a block is not
looked at again. Then follow the stretches inside lines: inline code, formulas, addresses, marks of Markdown, statute
numbers, titles. A cheap look at each line or token decides whether a pattern is tried at all; no pattern has a
quantifier inside a quantifier over the same characters.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from enum import IntFlag
from typing import NamedTuple

from cleaning.codelines import is_code

__all__ = ["CANDIDATE", "Kind", "Span", "spans_of"]


class Kind(IntFlag):
    """Kinds of protected stretches."""

    CODE = 1
    FORMULA = 2
    TABLE = 4
    ADDRESS = 8
    MARK = 16
    STATUTE = 32
    VERSE = 64
    TITLE = 128
    FENCE = 256


class Span(NamedTuple):
    """A protected stretch: `text[start:end]`, in characters."""

    start: int
    end: int
    kind: Kind


_HAN = "\u3400-\u9fff\u3007"
_NUMERAL = "一二三四五六七八九十百千零〇○两0-9０-９"
_UNIT = "编章节條条款项項卷回"
CANDIDATE = (
    r"[A-Za-z`$|\t~\\{}<>=*《「『]|(?:^|\n)[ \x{3000}]*(?:[-+#>]|[0-9]+[.)])|[ \x{3000}]{3}"
    rf"|第[{_NUMERAL}]+[{_UNIT}]|[0-9]\.[0-9]+\.[0-9]|\n[^\n。，；！？]{{2,9}}[，。；！？、][^\n]{{0,30}}\n"
)

_DISPLAY = (
    re.compile(r"\$\$.{1,5000}?\$\$", re.S),
    re.compile(r"\\\[.{1,5000}?\\\]", re.S),
    re.compile(r"\\begin\{(\w{1,20}\*?)\}.{0,20000}?\\end\{\1\}", re.S),
)
_DOLLARS = re.compile(r"\$(?<![\\$\w]\$)(?=[^\s$])(?P<inside>[^$\n]{1,400}?)(?<![\s\\])\$(?![\w$])")
_PARENTHESES = re.compile(r"\\\([^\n]{1,500}?\\\)")
_TEX = re.compile(r"[\\^_={}<>+*/()|,]|^[A-Za-z]\w?$|^-?\d+$")
_INLINE_CODE = re.compile(r"(`{1,2})(?<!``)(?!`)[^`\n]{1,400}?(?<!`)\1(?!`)")

_PIPES = re.compile(r"^\s*\|.*\|\s*$|^\s*\+(?:[-=]+\+)+\s*$|^\s*:?-{2,}:?\s*(?:\|\s*:?-{2,}:?\s*)+$")
_CELLS = re.compile(r"^[^|\n]*[^|\s][^|\n]*\|[^|\n]+\|[^|\n]*[^|\s][^|\n]*(?:\|[^|\n]*)*$")
_COLUMNS = re.compile(r"[ \u3000]{2}(?:(?<=\S\u3000\u3000)|(?<=\S  ) +)(?=\S)")
_VERSE_LINE = re.compile(
    rf"[ \t\u3000]*[{_HAN}]{{2,9}}[，。！？；、：][ \u3000]*(?:[{_HAN}]{{2,9}}[，。！？；、：…][ \u3000]*){{0,7}}"
)
_CLAUSE = re.compile(rf"[{_HAN}]+")

# A piece of ASCII between white space, Han characters, brackets and quotes begins with an address or holds none.
_PIECE = r"!#-&*+\-./0-9:=?@A-Z\\^_a-z|~"
_TOKEN = re.compile(rf"(?<![{_PIECE}])[A-Za-z0-9]*[./@_:\\+#=~-][{_PIECE}]+")
_ADDRESS = re.compile(
    r"(?:https?|ftp|file|git|ssh|s3|wss?)://.+|www\.[a-zA-Z0-9][-\w.]*\.[a-zA-Z]{2,}[-\w./?=&#%]*"
    r"|[\w.+-]{1,64}@[a-zA-Z0-9][-\w]{0,62}(?:\.[-\w]{1,62})+(?::[\w./-]+)?|@[\w-]+/[\w.-]+(?:@[\w.^~-]+)?"
    r"|(?:[A-Za-z]:\\|~?/|\.{1,2}/)[\w.\\/@+-]*[\w\\/]|[vV]?\d+(?:\.\d+){2,}(?:[-+.]\w+)*(?:[:/]\d+)?"
    r"|[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)+|[A-Za-z]\w*_\w+|[A-Za-z]+(?:\+\+|#)(?![\w#+])"
    r"|--?[a-zA-Z][\w-]*(?:=\S+)?$|[0-9a-fA-F]{2}(?:[:-][0-9a-fA-F]{2}){5}(?!\w)"
)
_ASCII_RUN = re.compile(r"[!-~][ -~]{6,398}[!-~]")

_URL = re.compile(r"(?:[a-z]{2,5}://|www\.)[!-~]+")
_BEGINS_MARK = frozenset("#-*+>=_0123456789 \t[~")
_LINE_MARK = re.compile(
    r"(?!\s*[-*]\s*\d{1,4}\s*[-*]\s*$)[ \t>]*(?:#{1,6}[ \t]+(?:\d+(?:\.\d+)*[.、]?[ \t]+)?"
    r"|[-*+][ \t]+(?:\[[ xX]\][ \t]+)?|\d{1,3}[.)][ \t]+|>[ \t]*)"
    r"|[ \t]*(?:={3,}|-{3,}|\*{3,}|_{3,}|(?:- ){2,}-|(?:\* ){2,}\*)[ \t]*$"
)
_EMPHASIS = re.compile(r"\*{2,3}|~~")
_FOOTNOTE = re.compile(r"\[\^[\w-]{1,30}\]:?[ \t]?")
_STATUTE = re.compile(rf"第[{_NUMERAL}]{{1,9}}[{_UNIT}](?:之[{_NUMERAL}]{{1,3}})?(?:[ \t\u3000]+)?")
_TITLES = (
    ("《", re.compile(r"《[^《》\n]{1,80}》")),
    ("「", re.compile(r"「[^「」\n]{1,200}」")),
    ("『", re.compile(r"『[^『』\n]{1,200}』")),
)


def _fences(text: str) -> list[Span]:
    if "```" not in text and "~~~" not in text:
        return []
    out: list[Span] = []
    opened, mark, at = -1, "", 0
    for line in text.split("\n"):
        bare = line.lstrip(" \t>")
        if opened < 0 and bare[:3] in ("```", "~~~") and "`" not in bare.lstrip("`"):
            opened, mark = at, bare[:3]
        elif opened >= 0 and bare.startswith(mark) and not bare.strip("`~ \t"):
            out.append(Span(opened, at + len(line), Kind.CODE | Kind.FENCE))
            opened = -1
        at += len(line) + 1
    if opened >= 0:  # nothing closes it: the text was cut
        out.append(Span(opened, len(text), Kind.CODE | Kind.FENCE))
    return out


def _formulas(text: str) -> list[Span]:
    hints = ("$$", "\\[", "\\begin{")
    return [
        Span(m.start(), m.end(), Kind.FORMULA)
        for hint, pattern in zip(hints, _DISPLAY, strict=True)
        if hint in text
        for m in pattern.finditer(text)
    ]


def _without_overlaps(found: list[Span]) -> list[Span]:
    out: list[Span] = []
    for span in sorted(found):
        if not out or span.start >= out[-1].end:
            out.append(span)
    return out


def _free_lines(text: str, taken: list[Span]) -> Iterator[tuple[int, str]]:
    """Starts and texts of the lines that no block takes."""
    at = 0
    blocks = iter(taken)
    block = next(blocks, None)
    for line in text.split("\n"):
        end = at + len(line)
        while block is not None and block.end <= at:
            block = next(blocks, None)
        if block is None or end <= block.start:
            yield at, line
        at = end + 1


_LONGEST_ROW = 1000  # characters; a longer line is a paragraph, or code that a program wrote
# One line with bars or wide gaps is a menu or a title as often as a row: two of them make a table.
_LONE_ROW = Kind.TABLE | Kind.MARK


def _kind_of(line: str) -> Kind | None:
    """What kind of block a line may belong to."""
    bare = line.strip()
    if len(bare) < 2:
        return Kind.CODE if bare in "{}()[]" and bare else None
    if len(bare) > _LONGEST_ROW:
        return Kind.CODE if is_code(bare) else None
    if ("|" in bare or bare[0] == "+") and _PIPES.match(line):
        return Kind.TABLE
    if "|" in bare and _CELLS.match(line):
        return Kind.CODE if is_code(line) else _LONE_ROW
    if "\t" in bare:
        return Kind.CODE if is_code(line) else Kind.TABLE
    if ("  " in bare or "\u3000\u3000" in bare) and _COLUMNS.search(bare):
        return Kind.CODE if is_code(line) else _LONE_ROW
    if bare.startswith("@") and is_code(line):
        return Kind.CODE
    wide = (len(bare.encode()) - len(bare)) // 2
    if wide * 4 <= len(bare) * 3:
        return Kind.CODE if is_code(line) else None
    if len(bare) <= 80 and _VERSE_LINE.fullmatch(line) and len({len(c) for c in _CLAUSE.findall(line)}) == 1:
        return Kind.VERSE
    return None


def _line_blocks(text: str, lines: list[tuple[int, str]]) -> list[Span]:
    """Runs of lines of one kind. Indented lines below a line of code belong to it, one line of verse is none."""
    kinds: list[Kind | None] = []
    for _, line in lines:
        kind = _kind_of(line)
        if kind is None and kinds and kinds[-1] is Kind.CODE and line[:1] in (" ", "\t") and line.strip():
            kind = Kind.CODE if (len(line.encode()) - len(line)) < len(line) else None
        kinds.append(kind)
    out: list[Span] = []
    for kind, group in itertools.groupby(range(len(lines)), kinds.__getitem__):
        rows = list(group)
        if kind is None or (kind in (Kind.VERSE, _LONE_ROW) and len(rows) < 2):
            continue
        kind = Kind.TABLE if kind == _LONE_ROW else kind
        begin, (last, line) = lines[rows[0]][0], lines[rows[-1]]
        out.append(Span(begin, last + len(line), kind))
    return out


def _marks(lines: list[tuple[int, str]]) -> Iterator[Span]:
    for at, line in lines:
        if line[:1] in _BEGINS_MARK and (match := _LINE_MARK.match(line)):
            yield Span(at, at + match.end(), Kind.MARK)


def _addresses(text: str) -> Iterator[Span]:
    for token in _TOKEN.finditer(text):
        match = _ADDRESS.match(text, *token.span())
        if match is not None:
            yield Span(match.start(), match.end(), Kind.ADDRESS)


def _inline_formulas(text: str) -> Iterator[Span]:
    if "$" in text:
        for match in _DOLLARS.finditer(text):
            if _TEX.search(match["inside"]):
                yield Span(match.start(), match.end(), Kind.FORMULA)
    if "\\(" in text:
        yield from _all(_PARENTHESES, text, Kind.FORMULA)


def _all(pattern: re.Pattern[str], text: str, kind: Kind) -> Iterator[Span]:
    return (Span(m.start(), m.end(), kind) for m in pattern.finditer(text))


def _commands(text: str) -> Iterator[Span]:
    """Commands in the middle of Chinese sentences: runs of ASCII that look like a line of code."""
    if not text.isascii():
        for match in _ASCII_RUN.finditer(text):
            if is_code(_URL.sub("x", match[0])):
                yield Span(match.start(), match.end(), Kind.CODE)


def _inside_lines(text: str, lines: list[tuple[int, str]]) -> Iterator[Span]:
    yield from _marks(lines)
    if "`" in text:
        yield from _all(_INLINE_CODE, text, Kind.CODE | Kind.FENCE)
    yield from _inline_formulas(text)
    yield from _addresses(text)
    yield from _commands(text)
    if "**" in text or "~~" in text:
        yield from _all(_EMPHASIS, text, Kind.MARK)
    if "[^" in text:
        yield from _all(_FOOTNOTE, text, Kind.MARK)
    if "第" in text:
        yield from _all(_STATUTE, text, Kind.STATUTE)
    for opening, pattern in _TITLES:
        if opening in text:
            yield from _all(pattern, text, Kind.TITLE)


def spans_of(text: str) -> tuple[Span, ...]:
    """Protected stretches of a text.

    Args:
        text: The text.

    Returns:
        Stretches by position. A stretch inside a block is left out; others may overlap (a title that holds an
        address).
    """
    blocks = _without_overlaps(_fences(text) + _formulas(text))
    lines = list(_free_lines(text, blocks))
    blocks = _without_overlaps(blocks + _line_blocks(text, lines))
    if not blocks:
        return tuple(sorted(_inside_lines(text, lines)))
    out: list[Span] = []
    others = iter(sorted(blocks))
    block = next(others, None)
    for span in sorted(_inside_lines(text, lines)):
        while block is not None and block.end <= span.start:
            block = next(others, None)
        if block is None or span.start < block.start:
            out.append(span)
    return tuple(sorted([*blocks, *out]))
