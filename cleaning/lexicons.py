"""Lexicons: loading, reporting of bad lines, matching in one pass, and the rules that count hits."""

from __future__ import annotations

import logging
import re
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
from raylib.file_cache import kept_while_unchanged
from raylib.paths import PathName
from raylib.stage import Threshold

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

    def covers(self, text: str, least: float = 0.3) -> bool:
        """Whether words of the lexicon make up much of a text, so that it is about nothing else.

        Args:
            text: Text to search, a sentence or a line.
            least: Least share of the text's letters and digits that belongs to such words, 0 to 1.
        """
        covered = sum(len(hit.word) for hit in self.hits(text))
        return covered > 0 and covered >= least * sum(c.isalnum() for c in text)


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


def is_built_in(name: str) -> bool:
    """Whether a lexicon comes with raylib."""
    return (_BUILT_IN / f"{name}.txt").is_file()


def locate(name: str) -> Path:
    """Path of a lexicon.

    Args:
        name: Name of a built-in lexicon (`boilerplate_wechat`), or path of a file.

    Raises:
        ParameterError: if it is neither.
    """
    if is_built_in(name):
        return _BUILT_IN / f"{name}.txt"
    path = Path(name).expanduser()
    if path.is_file():
        return path
    known = ", ".join(sorted(p.stem for p in _BUILT_IN.glob("*.txt")))
    raise ParameterError(f"lexicon {name!r} is neither a file nor one of the built-in lexicons: {known}")


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
    return _read(str(locate(name)), min_word_length, exclude)


@kept_while_unchanged(32)
def _read(file: str, min_word_length: int, exclude: tuple[str, ...]) -> Lexicon:
    path = Path(file)
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


_CATEGORIES = ("badword", "gambling", "gumble", "sex", "ads", "dirty")
# Words of what is sold count where somebody sells: a study of gambling names the games and offers none.
_SOLD = frozenset(("gambling", "gumble", "sex", "ads"))
_OFFER = re.compile(
    r"注\s?[册冊]|开户|[加十＋+]\s?(?:微|薇|威|[vVqQ])|[微薇威]\s?信|客服|提[现款]|返[水佣现利]|送\s?\d|彩金|体验金|官网|点击|下载|上门|包夜|加盟|代理|"
    r"联系(?:我|电话|方式|老师|客服)|咨询|热线|货到付款|优惠|折扣|免费(?:领|送|试)|日结|充值|首[存充]|邀请码|私聊|[进加]群|飞机群|电报|VIP|"
    r"名额|先到先得|下单|抢购|订购|代[办开写考]|包邮|批发|报价|招聘|诚招"
)
_QUOTED = {"“": "”", "‘": "’", "「": "」", "『": "』", "《": "》", '"': '"'}


def _is_quoted(text: str, hit: Hit) -> bool:
    """Whether a word stands in quotation marks of its own: it is talked about, not used."""
    end = hit.offset + len(hit.word)
    return hit.offset > 0 and _QUOTED.get(text[hit.offset - 1]) == text[end : end + 1] != ""


def _count_hits(
    texts: pa.Array, words: Lexicon, categories: tuple[str, ...], threshold: int, *, different: int, used: bool = False
) -> pa.Array:
    """Evidence against texts with `threshold` hits.

    With `used`, words that are only quoted do not count, and words of what is sold count in offers only.
    """
    allowed = frozenset(categories)
    found: dict[int, list[Hit]] = {}
    for row, text in enumerate(texts.to_pylist()):
        if not text:
            continue
        hits = [h for h in words.hits(text) if not allowed or h.category in allowed]
        if used and len(hits) >= threshold:
            hits = [h for h in hits if not _is_quoted(text, h)]
            if not _OFFER.search(text):
                hits = [h for h in hits if h.category not in _SOLD]
        if len(hits) >= threshold and len({h.word for h in hits}) >= different:
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
        ("百家乐、老虎机、六合彩如何传入，政府如何取缔网上赌场。", ""),
    ),
    thresholds=(Threshold("max_hits", "above", 1, 1 << 10, whole=True),),
)
def lexicon(
    texts: pa.Array,
    *,
    lexicon: PathName = "keywords",
    categories: tuple[str, ...] | None = None,
    max_hits: int = 3,
    min_word_length: int = 2,
    exclude: tuple[str, ...] = (),
    different: int | None = None,
    used: bool | None = None,
) -> pa.Array:
    """Reject texts with many words of a lexicon.

    Built-in lists name what any text may talk about, so their words count with care. One word over and over is what a
    text is about, such as 淫秽 in the statutes against it: several must be different. A word that stands alone in
    quotation marks is talked about and does not count. Words of gambling, sex and advertising count in texts that make
    an offer (a contact, a price, a registration): a study of gambling makes none. Of a list of your own every word
    counts wherever it stands.

    Matching is leftmost-longest; overlapping matches count once, repetitions count each time. Latin words match on word
    borders and without case. The evidence names words, categories and offsets.

    Args:
        texts: String array.
        lexicon: Name of a built-in lexicon, or path of a file.
        categories: Categories that count; if empty, all words count, also those without a category. The default is
            badword, gambling, gumble, sex, ads and dirty for built-in lists, and all words for others.
        max_hits: Number of hits from which a text is rejected.
        min_word_length: Least length of a word, in characters; 1 also matches words of one character.
        exclude: Words that do not count.
        different: Least number of different words among the hits; by default 2 for built-in lists, 1 for others.
        used: Whether quoted words, and words of what is sold in texts that sell nothing, are left out; by default they
            are for built-in lists only.
    """
    own = not is_built_in(lexicon)
    different = (1 if own else 2) if different is None else different
    used = not own if used is None else used
    categories = (() if own else _CATEGORIES) if categories is None else categories
    return _count_hits(
        texts, load_lexicon(lexicon, min_word_length, exclude), categories, max_hits, different=different, used=used
    )


@reject(
    "sensitive",
    unit="hits",
    examples=(
        ("出售枪支弹药，货到付款，联系客服。", "1 hits"),
        ("非法买卖枪支弹药的，处三年以上有期徒刑。", ""),
    ),
)
def sensitive(
    texts: pa.Array,
    *,
    lexicon: PathName = "sensitive",
    min_word_length: int = 2,
    exclude: tuple[str, ...] = (),
    near: int | None = None,
) -> pa.Array:
    """Reject texts that offer what a strict list names.

    A law, a novel or a report names the same things as the built-in list; its words count where an offer (a contact, a
    price, a delivery) stands near them and no quotation marks stand around them. Of a list of your own every word
    counts wherever it stands.

    Args:
        texts: String array.
        lexicon: Name of a built-in lexicon, or path of a file.
        min_word_length: Least length of a word, in characters. Real lists contain common characters as words of one
            character, which would reject nearly all Chinese text.
        exclude: Words that do not count.
        near: Largest distance between a word and an offer, in characters; 0 lets every word count. The default is 40
            for built-in lists and 0 for others.
    """
    if near is None:
        near = 40 if is_built_in(lexicon) else 0
    words = load_lexicon(lexicon, min_word_length, exclude)
    found: dict[int, list[Hit]] = {}
    for row, text in enumerate(texts.to_pylist()):
        hits = [hit for hit in words.hits(text or "") if near == 0 or _is_offered(text, hit, near)]
        if hits:
            found[row] = hits
    mask = np.zeros(len(texts), np.bool_)
    mask[list(found)] = True
    return evidence(texts, mask, lambda row: _explain(found[row]))


def _is_offered(text: str, hit: Hit, near: int) -> bool:
    around = text[max(0, hit.offset - near) : hit.offset + len(hit.word) + near]
    return not _is_quoted(text, hit) and _OFFER.search(around) is not None
