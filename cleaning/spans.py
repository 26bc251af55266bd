r"""The recogniser of protected stretches in one text.

Blocks come first: fenced code, displayed formulas, tables, lines of code, verse. What stands inside a block is not
looked at again. Then follow the stretches inside lines: inline code, formulas, addresses, marks of Markdown, statute
numbers, titles. A cheap look at each line or token decides whether a pattern is tried at all; no pattern has a
quantifier inside a quantifier over the same characters.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from cleaning.codelines import is_code

__all__ = ["CANDIDATE", "CANDIDATE_UNREADABLE", "Kind", "Span", "fences_of", "spans_of"]


class Kind:
    """Kinds of protected stretches: bits of a number. An enum's operators would cost more than the patterns do."""

    CODE: Final = 1
    FORMULA: Final = 2
    TABLE: Final = 4
    ADDRESS: Final = 8
    MARK: Final = 16
    STATUTE: Final = 32
    VERSE: Final = 64
    TITLE: Final = 128
    FENCE: Final = 256


class Span(NamedTuple):
    """A protected stretch: `text[start:end]`, in characters."""

    start: int
    end: int
    kind: int


_HAN = "\u3400-\u9fff\u3007"
_NUMERAL = "一二三四五六七八九十百千零〇○两0-9０-９"
_UNIT = "编章节條条款项項卷回"
CANDIDATE = (
    r"[A-Za-z`$|\t~\\{}<>=*《「『]|(?:^|\n)[ \x{3000}]*(?:[-+#>]|[0-9]+[.)])|[ \x{3000}]{3}"
    rf"|第[{_NUMERAL}]+[{_UNIT}]|[0-9]\.[0-9]+\.[0-9]|\n[^\n。，；！？]{{2,9}}[，。；！？、][^\n]{{0,30}}\n"
)
# What a text must hold to have code, formulas, tables or addresses: a run of ASCII with a letter or an operator.
CANDIDATE_UNREADABLE = (
    r"[`$|\t\\]|[!-~][ -~]{3,}[A-Za-z(){};=<>#/@_~+-]|[A-Za-z(){};=<>#/@_~+-][ -~]{3,}[!-~]|[^\s][ \x{3000}]{2,}[^\s]"
    r"|(?:^|\n)[ \t]*[!-~]{1,7}[ \t]*(?:\n|$)|[0-9]\.[0-9]+\.[0-9]"
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
# What a line must hold to have a stretch inside.
_HINT = re.compile("[!-~][!-~ ]|^[-#>+*=_0-9\\s]|[《「『第`$~]")
# A token has a sign or a digit between letters; a run has eight characters of ASCII.
_SOME_ASCII = re.compile(r"[!-~][!-~]")
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


_LONGEST_ROW = 1000  # characters; a longer line is a paragraph, or code that a program wrote
# One line with bars or wide gaps is a menu or a title as often as a row: two of them make a table.
_LONE_ROW = Kind.TABLE | Kind.MARK


def _kind_of(line: str) -> int | None:
    """What kind of block a line may belong to."""
    bare = line.strip()
    if len(bare) < 2:
        return Kind.CODE if bare in "{}()[]" and bare else None
    if len(bare) > _LONGEST_ROW:
        return Kind.CODE if is_code(bare) else None
    row = _kind_of_row(line, bare)
    if row is not None:
        return row
    wide = (len(bare.encode()) - len(bare)) // 2
    if wide * 4 <= len(bare) * 3:
        return Kind.CODE if is_code(line) else None
    if len(bare) <= 80 and _VERSE_LINE.fullmatch(line) and len({len(c) for c in _CLAUSE.findall(line)}) == 1:
        return Kind.VERSE
    return None


def _kind_of_row(line: str, bare: str) -> int | None:
    """What a line is that has the marks of a row of a table, or of a decorator."""
    if ("|" in bare or bare[0] == "+") and _PIPES.match(line):
        return Kind.TABLE
    if "\t" in bare and not ("|" in bare and _CELLS.match(line)):
        return Kind.CODE if is_code(line) else Kind.TABLE
    if ("|" in bare and _CELLS.match(line)) or (("  " in bare or "\u3000\u3000" in bare) and _COLUMNS.search(bare)):
        return Kind.CODE if is_code(line) else _LONE_ROW
    return Kind.CODE if bare.startswith("@") and is_code(line) else None


@functools.lru_cache(maxsize=1 << 16)
def _kind_of_seen(line: str) -> int | None:
    return _kind_of(line)


@functools.lru_cache(maxsize=1 << 16)
def _inside_seen(line: str) -> tuple[Span, ...]:
    return _inside(line)


# Rules change a line here and there, and the recogniser looks at their texts again: short lines are remembered.
_REMEMBERED = 200  # characters


def _kinds(lines: list[str], free: list[bool]) -> list[int | None]:
    """What block each line may belong to. Indented lines below a line of code belong to it."""
    kinds: list[int | None] = []
    before: int | None = None
    for line, is_free in zip(lines, free, strict=True):
        before = _kind_below(line, before) if is_free and line else None
        kinds.append(before)
    return kinds


def _kind_below(line: str, before: int | None) -> int | None:
    kind = _kind_of_seen(line) if len(line) <= _REMEMBERED else _kind_of(line)
    if kind is None and before == Kind.CODE and line[0] in " \t" and line.strip():
        return Kind.CODE if (len(line.encode()) - len(line)) < len(line) else None
    return kind


def _marks(line: str) -> Iterator[Span]:
    if line[:1] in _BEGINS_MARK and (match := _LINE_MARK.match(line)):
        yield Span(0, match.end(), Kind.MARK)


def _addresses(line: str) -> Iterator[Span]:
    for token in _TOKEN.finditer(line):
        match = _ADDRESS.match(line, *token.span())
        if match is not None:
            yield Span(match.start(), match.end(), Kind.ADDRESS)


def _inline_formulas(line: str) -> Iterator[Span]:
    if "$" in line:
        for match in _DOLLARS.finditer(line):
            if _TEX.search(match["inside"]):
                yield Span(match.start(), match.end(), Kind.FORMULA)
    if "\\(" in line:
        yield from _all(_PARENTHESES, line, Kind.FORMULA)


def _all(pattern: re.Pattern[str], line: str, kind: int) -> Iterator[Span]:
    return (Span(m.start(), m.end(), kind) for m in pattern.finditer(line))


def _commands(line: str) -> Iterator[Span]:
    """Commands in the middle of Chinese sentences: runs of ASCII that look like a line of code."""
    if not line.isascii():
        for match in _ASCII_RUN.finditer(line):
            if is_code(_URL.sub("x", match[0])):
                yield Span(match.start(), match.end(), Kind.CODE)


def _inside(line: str) -> tuple[Span, ...]:
    """Protected stretches inside a line, by position."""
    if not _HINT.search(line):
        return ()
    out = [*_marks(line)]
    if "`" in line:
        out += _all(_INLINE_CODE, line, Kind.CODE | Kind.FENCE)
    out += _inline_formulas(line)
    if _SOME_ASCII.search(line):
        out += (*_addresses(line), *_commands(line))
    if "**" in line or "~~" in line:
        out += _all(_EMPHASIS, line, Kind.MARK)
    if "[^" in line:
        out += _all(_FOOTNOTE, line, Kind.MARK)
    if "第" in line:
        out += _all(_STATUTE, line, Kind.STATUTE)
    for opening, pattern in _TITLES:
        if opening in line:
            out += _all(pattern, line, Kind.TITLE)
    return tuple(sorted(out))


@dataclass
class _Cover:
    """Blocks that are asked about from left to right."""

    blocks: list[Span]
    at: int = 0

    def touches(self, start: int, end: int) -> tuple[bool, bool]:
        """Whether a block overlaps a stretch, and whether one holds all of it."""
        while self.at < len(self.blocks) and self.blocks[self.at].end <= start:
            self.at += 1
        if self.at == len(self.blocks):
            return False, False
        block = self.blocks[self.at]
        return block.start < max(end, start + 1), block.start <= start and end <= block.end


def fences_of(text: str) -> tuple[Span, ...]:
    """Code in fences and back quotes of a text, by position.

    Args:
        text: The text.
    """
    fences = _without_overlaps(_fences(text))
    cover = _Cover(fences)
    inline = [span for span in _all(_INLINE_CODE, text, Kind.CODE | Kind.FENCE) if not cover.touches(*span[:2])[0]]
    return tuple(sorted(fences + inline))


def spans_of(text: str) -> tuple[Span, ...]:
    """Protected stretches of a text.

    Args:
        text: The text.

    Returns:
        Stretches by position. A stretch inside a block is left out; others may overlap (a title that holds an
        address).
    """
    blocks = _without_overlaps(_fences(text) + _formulas(text))
    lines = text.split("\n")
    starts = list(itertools.accumulate((len(line) + 1 for line in lines), initial=0))
    cover = _Cover(blocks)
    touched = [cover.touches(at, at + len(line)) for at, line in zip(starts, lines, strict=False)] if blocks else []
    free = [not part for part, _ in touched] or [True] * len(lines)
    out = list(blocks)
    for kind, group in itertools.groupby(range(len(lines)), _kinds(lines, free).__getitem__):
        rows = list(group)
        # one line of verse is none; see _LONE_ROW
        if kind is not None and (len(rows) > 1 or kind not in (Kind.VERSE, _LONE_ROW)):
            last = rows[-1]
            out.append(
                Span(starts[rows[0]], starts[last] + len(lines[last]), Kind.TABLE if kind == _LONE_ROW else kind)
            )
            continue
        for row in rows:
            if not free[row] and touched[row][1]:
                continue
            line, at = lines[row], starts[row]
            inside = _inside_seen(line) if len(line) <= _REMEMBERED else _inside(line)
            if not inside:
                continue
            found = (Span(at + start, at + end, kind) for start, end, kind in inside)
            out += found if free[row] else (s for s in found if not _Cover(blocks).touches(s.start, s.end)[0])
    return tuple(sorted(out))
