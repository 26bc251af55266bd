"""Lexicons: loading, reporting of bad lines, matching in one pass, and the rules that count hits."""

from __future__ import annotations

import functools
import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import ahocorasick_rs
import numpy as np
import pyarrow as pa

from cleaning.declare import reject
from cleaning.texts import evidence
from raylib.errors import ParameterError
from raylib.paths import PathName

__all__ = ["Hit", "Lexicon", "lexicon", "load_lexicon", "sensitive"]

logger = logging.getLogger(__name__)

_BUILT_IN = Path(__file__).resolve().parent.parent / "recipes" / "lexicons"


class Hit(NamedTuple):
    """One match in a text.

    Attributes:
        word: The word as it is listed, in lower case.
        category: Its category; "" if the list has none.
        offset: Position of its first character in the text.
    """

    word: str
    category: str
    offset: int


def _is_word_character(character: str) -> bool:
    return character.isascii() and (character.isalnum() or character == "_")


class Automaton(Protocol):
    """An automaton that finds all its patterns in one pass over a text."""

    def find_matches_as_indexes(self, haystack: str) -> list[tuple[int, int, int]]:
        """Pattern, start and end of every match, in order."""
        ...


@dataclass(frozen=True)
class Lexicon:
    """Words with categories behind one Aho-Corasick automaton.

    Matching is leftmost-longest without overlaps and ignores the case of ASCII letters. A word that begins or ends
    with a Latin letter or digit matches there only at a word border.

    Attributes:
        words: Words in lower case.
        categories: Category of each word; "" for none.
        problems: Lines of the file that were left out, with file and line number.
        automaton: The automaton over `words`.
    """

    words: tuple[str, ...]
    categories: tuple[str, ...]
    problems: tuple[str, ...]
    automaton: Automaton

    def hits(self, text: str) -> Iterator[Hit]:
        """All hits in order of their offset.

        Args:
            text: Text to search.
        """
        lowered = text.lower()
        if len(lowered) != len(text):  # a few letters such as İ grow when lowered
            lowered = "".join(c.lower() if c.isascii() else c for c in text)
        for index, start, end in self.automaton.find_matches_as_indexes(lowered):
            word = self.words[index]
            if _is_word_character(word[0]) and start and _is_word_character(lowered[start - 1]):
                continue
            if _is_word_character(word[-1]) and end < len(lowered) and _is_word_character(lowered[end]):
                continue
            yield Hit(word, self.categories[index], start)

    def contains(self, text: str) -> bool:
        """Whether a text contains any word of the lexicon.

        Args:
            text: Text to search.
        """
        return next(self.hits(text), None) is not None


def build_lexicon(entries: Iterable[tuple[str, str]], problems: Iterable[str] = ()) -> Lexicon:
    """A lexicon from pairs.

    Args:
        entries: Words and their categories; the first category of a word counts.
        problems: Descriptions of lines that were left out.
    """
    table: dict[str, str] = {}
    for word, category in entries:
        table.setdefault(word.lower(), category)
    automaton = ahocorasick_rs.AhoCorasick(list(table), matchkind=ahocorasick_rs.MatchKind.LeftmostLongest)
    return Lexicon(tuple(table), tuple(table.values()), tuple(problems), automaton)


def locate(name: str) -> Path:
    """Path of a lexicon.

    Args:
        name: Name of a built-in lexicon (`boilerplate_wechat`), or path of a file.

    Raises:
        ParameterError: if it is neither.
    """
    built_in = _BUILT_IN / f"{name}.txt"
    if built_in.is_file():
        return built_in
    path = Path(name).expanduser()
    if path.is_file():
        return path
    known = ", ".join(sorted(p.stem for p in _BUILT_IN.glob("*.txt")))
    raise ParameterError(f"lexicon {name!r} is neither a file nor one of the built-in lexicons: {known}")


@functools.lru_cache(maxsize=32)
def load_lexicon(name: str, min_word_length: int = 1, exclude: tuple[str, ...] = ()) -> Lexicon:
    """Read a lexicon: UTF-8, one `word` or `word=>category` on each line; `# ` begins a comment line.

    Blank lines are skipped. Malformed lines and words that are too short are left out and described in `problems`.

    Args:
        name: Name of a built-in lexicon, or path of a file.
        min_word_length: Least length of a word, in characters.
        exclude: Words to leave out.

    Raises:
        ParameterError: if the file is missing or contains no word.
    """
    path = locate(name)
    entries: list[tuple[str, str]] = []
    problems: list[str] = []
    unread: list[str] = []
    for number, raw in enumerate(path.read_bytes().splitlines(), 1):
        try:
            line = raw.decode("utf-8-sig").strip()
        except UnicodeDecodeError:
            unread.append(f"{path.name}:{number}: not UTF-8")
            continue
        if not line or line.startswith("# "):
            continue
        word, arrow, category = (part.strip() for part in line.partition("=>"))
        if not word or (arrow and not category):
            unread.append(f"{path.name}:{number}: expected a word or word=>category, got {line!r}")
        elif len(word) < min_word_length:
            problems.append(f"{path.name}:{number}: {word!r} is shorter than {min_word_length}, left out")
        elif word not in exclude:
            entries.append((word, category))
    if not entries:
        why = [*unread, *problems][:3]
        hint = f"; if it is GB18030 (GBK), convert it: iconv -f gb18030 -t utf-8 {path}" if unread else ""
        raise ParameterError(f"lexicon {path} holds no usable word{': ' if why else ''}{'; '.join(why)}{hint}")
    if unread:  # words that nobody would miss, because a rule that knows them not rejects less
        rest = f" and {len(unread) - 3} more lines" if len(unread) > 3 else ""
        logger.warning("lexicon %s: lines were left out: %s%s", path, "; ".join(unread[:3]), rest)
    return build_lexicon(entries, [*unread, *problems])


def _count_hits(texts: pa.Array, words: Lexicon, categories: tuple[str, ...], threshold: int) -> pa.Array:
    allowed = frozenset(categories)
    found: dict[int, list[Hit]] = {}
    for row, text in enumerate(texts.to_pylist()):
        if not text:
            continue
        hits = [h for h in words.hits(text) if not allowed or h.category in allowed]
        if len(hits) >= threshold:
            found[row] = hits
    mask = np.zeros(len(texts), np.bool_)
    mask[list(found)] = True
    return evidence(texts, mask, lambda row: _explain(found[row]))


def _explain(hits: list[Hit]) -> str:
    counts = Counter((h.word, h.category) for h in hits)
    first = {(h.word, h.category): h.offset for h in reversed(hits)}
    shown = [
        f"{word}{f'=>{category}' if category else ''} x{n} at {first[word, category]}"
        for (word, category), n in counts.most_common(10)
    ]
    return f"{len(hits)} hits: " + "; ".join(shown)


@reject(
    "lexicon_hits",
    unit="hits",
    examples=(
        ("澳门网上赌场开业，真人荷官在线发牌，注册送彩金，百家乐技巧。", "4 hits"),
        ("他在图书馆读了一本关于博彩业历史的书。", ""),
    ),
)
def lexicon(
    texts: pa.Array,
    *,
    lexicon: PathName = "keywords",
    categories: tuple[str, ...] = ("badword", "gambling", "gumble", "sex", "ads", "dirty"),
    max_hits: int = 3,
    min_word_length: int = 2,
    exclude: tuple[str, ...] = (),
) -> pa.Array:
    """Reject texts with many words of a lexicon.

    Matching is leftmost-longest; overlapping matches count once, repetitions count each time. Latin words match on word
    borders and without case. The evidence names words, categories and offsets.

    Args:
        texts: String array.
        lexicon: Name of a built-in lexicon, or path of a file.
        categories: Categories that count; if empty, all words count, also those without a category.
        max_hits: Number of hits from which a text is rejected.
        min_word_length: Least length of a word, in characters; 1 also matches words of one character.
        exclude: Words that do not count.
    """
    return _count_hits(texts, load_lexicon(lexicon, min_word_length, exclude), categories, max_hits)


@reject(
    "sensitive",
    unit="hits",
    examples=(("出售枪支弹药，货到付款，联系客服。", "1 hits"), ("他研究古代兵器的历史。", "")),
)
def sensitive(
    texts: pa.Array, *, lexicon: PathName = "sensitive", min_word_length: int = 2, exclude: tuple[str, ...] = ()
) -> pa.Array:
    """Reject texts that contain any word of a strict list.

    Args:
        texts: String array.
        lexicon: Name of a built-in lexicon, or path of a file.
        min_word_length: Least length of a word, in characters. Real lists contain common characters as words of one
            character, which would reject nearly all Chinese text.
        exclude: Words that do not count.
    """
    return _count_hits(texts, load_lexicon(lexicon, min_word_length, exclude), (), 1)
