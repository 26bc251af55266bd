"""The genre of a text: law, classics, code, news, ... by its shape first, then by the words that it uses."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from cleaning.chinese_scripts import to_simplified
from cleaning.language import detect_language
from cleaning.lexicons import Lexicon, load_lexicon
from cleaning.protected import LITERAL, Kind, spans
from raylib.errors import ParameterError
from raylib.paths import PathName
from raylib.schema import text_of
from raylib.stage import LocalStage, Outcome, keep_all, stage, with_columns

__all__ = ["GENRES", "Genre", "detect_genres"]

GENRES: Final = (
    "books",
    "classics",
    "dialogue",
    "encyclopedia",
    "english",
    "exam",
    "finance",
    "forum",
    "law",
    "medical",
    "news",
    "tech",
    "web",
)
"""Genres that have a chain of their own. `web` is whatever none of the others fits."""

_SAMPLE = 4000  # characters of a text that are looked at, from its start
# Different words of a genre, and hits for a hundred characters, from which the genre is believed. Words of stories,
# encyclopedias and forums are in all texts, so they need more.
_LEAST: Final = {
    "law": (4, 0.8),
    "medical": (4, 1.2),
    "finance": (4, 1.2),
    "tech": (3, 0.5),
    "news": (3, 0.4),
    "encyclopedia": (3, 0.8),
    "books": (5, 1.0),
    "forum": (3, 0.8),
    "exam": (3, 1.0),
}
_ARTICLE = re.compile(r"(?m)^[ \t\u3000#*]*第[一二三四五六七八九十百千零〇0-9]{1,7}[条條编章]")
_TURN = re.compile(r"(?m)^[ \t\u3000]*([^\s：:，。！？“”\d]{1,8})[：:](?!//)")
_OPTION = re.compile(r"(?m)(?:^|[\s(（])([A-D])[)）.．、:：]\s?\S")
_ASKED = re.compile(
    r"答案[:：是为]|解析[:：]|【(?:答案|解析)】|下列|以下(?:哪|说法|关于|各)|[（(][\s\u3000]*[)）]|选[择出]"
)
_HEADLINE = re.compile(
    r"(?:新华社|中新[社网]|本报|[^\s，。]{2,8})[^\s，。]{0,12}\d{1,2}月\d{1,2}日(?:电|讯|消息|报道)|[（(](?:记者|通讯员)"
)
_DEFINES = re.compile(r"^[^。\n]{1,40}?(?:[（(][^（）()\n]{1,80}[)）])?[，,]?(?:是|为|又[称名]|亦称|简称|指|，\d{4}年)")
# Of a person: years of birth and death, or the second name.
_LIVED = re.compile(
    r"^[^。\n]{1,40}?(?:[（(][^（）()\n]{0,20}[0-9一二三四五六七八九○〇][^（）()\n]{0,6}[～~—–-][^（）()\n]{0,20}[)）]|，字[^，。]{1,4}[，。])"
)


def _shape(text: str, language: str, covered: dict[int, float]) -> str:
    """The genre that the shape of a text tells; empty for none."""
    if language == "en":
        return "english"
    if language == "code" or (covered[Kind.CODE] >= 0.15 and len(text) >= 100):
        return "tech"
    if language == "lzh" or covered[Kind.VERSE] >= 0.5:
        return "classics"
    lines = [line for line in text.split("\n") if line.strip()]
    articles = len(_ARTICLE.findall(text))
    if articles >= 3 and articles * 12 >= len(lines):
        return "law"
    if {"A", "B", "C"} <= set(_OPTION.findall(text)) and _ASKED.search(text):
        return "exam"
    speakers = _TURN.findall(text)
    if len(speakers) >= 4 and 2 <= len(set(speakers)) <= len(speakers) // 2 + 1 and len(speakers) * 2 >= len(lines):
        return "dialogue"
    return "encyclopedia" if _LIVED.match(text) else ""


def _by_words(text: str, words: Lexicon) -> str:
    """The genre whose words are commonest, measured by what it needs; `web` where no genre has enough."""
    hits = Counter((hit.category, hit.word) for hit in words.hits(text))
    best, margin = "web", 1.0
    for genre, (different, density) in _LEAST.items():
        counts = [min(count, 5) for (category, _), count in hits.items() if category == genre]
        if len(counts) < min(different, 2 + len(text) // 60):
            continue
        found = 100 * sum(counts) / (max(len(text), 60) * density)
        found *= {
            "news": 1.5 if _HEADLINE.search(text) else 0.7,
            "encyclopedia": 1.4 if _DEFINES.match(text) else 0.6,
        }.get(genre, 1.0)
        if found >= margin:
            best, margin = genre, found
    return best


def detect_genres(texts: pa.Array, lexicon: str = "genres") -> list[str]:
    """Genres of texts.

    Args:
        texts: String array without nulls, N texts.
        lexicon: Name of a built-in lexicon or path of a file, with words and their genres.

    Returns:
        N of GENRES.
    """
    words = load_lexicon(lexicon)
    heads = pc.utf8_slice_codeunits(texts, 0, _SAMPLE).cast(pa.large_string())
    languages = detect_language(heads)
    found = spans(heads, LITERAL | Kind.VERSE)
    out: list[str] = []
    for i, text in enumerate(to_simplified.function(heads).to_pylist()):
        covered = dict.fromkeys((Kind.CODE, Kind.VERSE), 0.0)
        for span in found.get(i, ()):
            for kind in covered:
                covered[kind] += (span.end - span.start) / len(text) if span.kind & kind else 0.0
        out.append(_shape(text, languages[i], covered) or _by_words(text, words))
    return out


@stage("genre", kind="score")
@dataclass(frozen=True, kw_only=True)
class Genre(LocalStage):
    """Write the genre of each text into the column `genre`: law, classics, tech, news, ... or `web`.

    The shape decides first: Latin letters make `english`, code `tech`, verse and classical Chinese `classics`, numbered
    articles `law`, questions with options `exam`, turns of speakers `dialogue`. Else the words of a lexicon decide
    between `law`, `medical`, `finance`, `tech`, `news`, `encyclopedia`, `books`, `forum` and `exam`; a text in which no
    genre has enough words is `web`. The first 4,000 characters are looked at. `clean: auto` uses it.

    Attributes:
        lexicon: Name of a built-in lexicon or path of a file, with lines `word=>genre`.
    """

    lexicon: PathName = "genres"

    def check(self) -> None:
        """Read the lexicon.

        Raises:
            ParameterError: It is missing, or names a genre that there is not.
        """
        unknown = sorted(set(load_lexicon(self.lexicon).categories) - set(_LEAST))
        if unknown:
            message = f"lexicon {self.lexicon}: {', '.join(unknown)}: words tell for {', '.join(sorted(_LEAST))}"
            raise ParameterError(message)

    def __call__(self, table: pa.Table) -> Outcome:
        """Add the column."""
        found = detect_genres(pc.fill_null(text_of(table), ""), self.lexicon)
        return keep_all(with_columns(table, {"genre": pa.array(found, pa.string())}))
