"""Language by script first, then by words that only one language has, and by a statistical model for what is left."""

from __future__ import annotations

import functools
import re
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cleaning.chinese_scripts import simplified_only, traditional_only
from cleaning.codepoints import CodePoints, Flags, codepoints, flags, han_flags, han_table, space_flags, table_of
from cleaning.declare import reject
from cleaning.protected import LITERAL, Kind, prose, spans
from cleaning.texts import evidence

__all__ = ["detect_language", "language"]

_KANA = table_of("", ((0x3041, 0x3096), (0x30A1, 0x30FA), (0x31F0, 0x31FF), (0xFF66, 0xFF9D)))
_HIRAGANA = table_of("", ((0x3041, 0x3096),))
_HANGUL = table_of("", ((0xAC00, 0xD7A3), (0x1100, 0x11FF), (0x3130, 0x318F)))
_LATIN = table_of("", ((0x41, 0x5A), (0x61, 0x7A), (0xC0, 0x24F), (0x1E00, 0x1EFF)))
# Scripts that one language has for itself, or nearly so.
_SCRIPTS: dict[str, Flags] = {
    "bo": table_of("", ((0x0F00, 0x0FFF),)),
    "mn": table_of("", ((0x1800, 0x18AF),)),
    "ii": table_of("", ((0xA000, 0xA4CF),)),
    "th": table_of("", ((0x0E00, 0x0E7F),)),
    "lo": table_of("", ((0x0E80, 0x0EFF),)),
    "my": table_of("", ((0x1000, 0x109F),)),
    "km": table_of("", ((0x1780, 0x17FF),)),
    "hi": table_of("", ((0x0900, 0x097F),)),
    "bn": table_of("", ((0x0980, 0x09FF),)),
    "ta": table_of("", ((0x0B80, 0x0BFF),)),
    "he": table_of("", ((0x0590, 0x05FF),)),
    "ka": table_of("", ((0x10A0, 0x10FF),)),
    "hy": table_of("", ((0x0530, 0x058F),)),
    "am": table_of("", ((0x1200, 0x137F),)),
    "el": table_of("", ((0x0370, 0x03FF), (0x1F00, 0x1FFF))),
    "arabic": table_of("", ((0x0600, 0x06FF), (0x0750, 0x077F), (0xFB50, 0xFDFF), (0xFE70, 0xFEFC))),
    "cyrillic": table_of("", ((0x0400, 0x052F),)),
}
_UYGHUR = re.compile("[ېۇۈۆەڭۋ]")
_KAZAKH_ARABIC = re.compile("[ٵٶۇٴ]")
_PERSIAN = re.compile("[پچژگکی]")
_URDU = re.compile("[ٹڈڑےہ]")
_MONGOLIAN = re.compile("[өүӨҮ]")
_KAZAKH = re.compile("[әғқңұһӘҒҚҢҰҺі]")
_KYRGYZ = re.compile("[ңөүҢӨҮ]")
_UKRAINIAN = re.compile("[їєґіЇЄҐІ]")
_JAPANESE = re.compile(
    "株式会社|有限会社|取締役|代表者|所在地|都道府県|[込峠畑働辻匂枠栃榊凪笹]|営業|駅|円(?![形周柱锥])|発売|販売|製作所|[東京大阪]都|丁目|番地|電話番号"
)
_JAPANESE_RE2 = _JAPANESE.pattern.replace("(?![形周柱锥])", "")
_CANTONESE = "嘅咗喺唔佢哋啲嚟嘢乜冇攞嗰噉瞓嬲氹嘥咩啱睇"
_MODERN = "的了是在这這那们們个個着很么麼吗嗎呢吧把被给給"
_CLASSICAL = "之乎者也矣焉曰其而于於以为為吾汝尔爾故乃則则哉兮遂"
_ENOUGH = 12  # Han characters below which Chinese is just Chinese


_LATIN_LANGUAGES = frozenset(
    (
        *("en", "de", "fr", "es", "pt", "it", "nl", "sv", "da", "no", "fi", "pl", "cs", "sk", "hu"),
        *("ro", "hr", "sl", "lt", "lv", "et", "tr", "vi", "id", "ms", "tl", "sw", "la", "eo", "ca"),
    )
)
# Words that every English text is full of. Most Latin texts of a Chinese crawl are English, and the model is slow.
_ENGLISH_WORDS = re.compile(r"\b(?:the|and|of|is|that|with|this|are|for|you|was|have|from|not|it)\b", re.IGNORECASE)
_LATIN_WORD = re.compile(r"[^\W\d_]+")


@functools.lru_cache(maxsize=4096)
def _classify(text: str) -> str:
    """Language of a text in Latin letters by the statistical model of py3langid."""
    if text.isascii() and len(_ENGLISH_WORDS.findall(text)) * 6 >= len(_LATIN_WORD.findall(text)) >= _ENOUGH:
        return "en"
    import py3langid  # noqa: PLC0415 - its model loads in a second

    found = str(py3langid.classify(text)[0])
    if found in _LATIN_LANGUAGES:
        return found
    return next((code for code, _ in py3langid.rank(text) if code in _LATIN_LANGUAGES), "en")


def _cyrillic(text: str) -> str:
    if _MONGOLIAN.search(text):
        return "kk" if _KAZAKH.search(text) and not re.search("[өү]{2}|ий|үүд", text) and "қ" in text else "mn"
    if "қ" in text or "ғ" in text:
        return "kk"
    return "uk" if _UKRAINIAN.search(text) else "ru"


def _arabic(text: str) -> str:
    if len(_UYGHUR.findall(text)) * 12 >= len(text):
        return "kk" if "ٴ" in text else "ug"
    if _URDU.search(text):
        return "ur"
    return "fa" if _PERSIAN.search(text) else "ar"


class _Chinese(NamedTuple):
    """Characters of one text that tell the kinds of Chinese apart."""

    han: int
    cantonese: int
    modern: int
    classical: int
    traditional: int
    simplified: int

    def code(self, text: str) -> str:
        """zh, zh-Hant, yue or lzh, for a text of Han characters."""
        different = min(2, self.han // 8 + 1)  # one odd character does not make a longer text Cantonese
        if self.cantonese * 50 >= self.han and len(set(text) & set(_CANTONESE)) >= different:
            return "yue"
        rarely_modern = self.han >= _ENOUGH and self.modern * 100 <= self.han
        if rarely_modern and (_is_verse(text) or self._is_classical(text)):
            return "lzh"
        return "zh-Hant" if self.traditional > self.simplified and self.traditional * 30 >= self.han else "zh"

    def _is_classical(self, text: str) -> bool:
        # 为 and 者 alone stand in the notes of a doctor too
        return self.classical * 25 >= self.han and len(set(text) & set(_CLASSICAL)) >= min(3, self.han // 8)


@functools.lru_cache(maxsize=1)
def _chinese_tables() -> tuple[Flags, ...]:
    return (
        *(table_of(members) for members in (_CANTONESE, _MODERN, _CLASSICAL)),
        traditional_only(),
        simplified_only(),
    )


def _chinese(view: CodePoints, han: npt.NDArray[np.int64]) -> list[_Chinese]:
    counts = (view.count(flags(view, table)).tolist() for table in _chinese_tables())
    return [_Chinese(*row) for row in zip(han.tolist(), *counts, strict=True)]


_VERSE = re.compile(r"(?m)^\s*([\u3400-\u9fff]{4,7})[，、]([\u3400-\u9fff]{4,7})[。！？；]")


def _is_verse(text: str) -> bool:
    lines = _VERSE.findall(text)
    return len(lines) >= 2 and all(len(a) == len(b) for a, b in lines)


def _protected_share(texts: pa.Array, view: CodePoints, kinds: int) -> npt.NDArray[np.float64]:
    covered = np.zeros(len(texts))
    for row, found in spans(texts, kinds).items():
        covered[row] = sum(s.end - s.start for s in found if s.kind & kinds)
    return covered / np.maximum(view.lengths, 1)


_OUTSIDE_TITLES = LITERAL | Kind.TITLE
_CODE_LIKE = re.compile(r"^\s*[\[{<].*[\]}>]\s*$", re.S)


def detect_language(texts: pa.Array) -> list[str]:
    """Languages of texts.

    Args:
        texts: String array without nulls, N texts.

    Returns:
        Codes, N of them: ISO 639-1 where there is one, `zh` and `zh-Hant` by characters, `yue` (Cantonese), `lzh`
        (classical Chinese), `code`, `math`, and `und` (undetermined) for a text without letters.
    """
    view = codepoints(texts)
    counts = _counts(view)
    han = view.count(han_flags(view))
    solid = view.lengths - view.count(space_flags(view))
    foreign = counts[:, [_CLASSES.index(name) for name in ("kana", "hiragana", "hangul")]].sum(axis=1)
    plain = (foreign == 0) & (han * 2 > solid)
    chinese = _chinese(view, han)
    japanese = pc.match_substring_regex(texts, _JAPANESE_RE2).to_numpy(zero_copy_only=False)
    out = [
        "" if not plain[i] else _japanese_or(text, chinese[i]) if japanese[i] else chinese[i].code(text)
        for i, text in enumerate(texts.to_pylist())
    ]
    others = np.flatnonzero(~plain)
    if len(others):
        mixed = [chinese[i] for i in others.tolist()]
        for i, code in zip(others.tolist(), _mixed(texts.take(pa.array(others)), mixed), strict=True):
            out[i] = code
    return out


def _japanese_or(text: str, chinese: _Chinese) -> str:
    return "ja" if len(_JAPANESE.findall(text)) * 12 >= chinese.han else chinese.code(text)


def _mixed(texts: pa.Array, chinese: list[_Chinese]) -> list[str]:
    """Languages of texts that are not mostly Han characters."""
    view = codepoints(texts)
    outside = prose(texts, _OUTSIDE_TITLES)
    counts = _counts(outside)
    solid = np.maximum(view.lengths - view.count(space_flags(view)), 1)
    some_han = (counts[:, _HAN_CLASS] >= 4) & (counts[:, _HAN_CLASS] * 2 > outside.lengths)
    few_han = (view.count(han_flags(view)) * 5 < solid) & ~some_han
    code = _protected_share(texts, view, Kind.CODE) >= 0.7
    math = _protected_share(texts, view, Kind.FORMULA) >= 0.5
    out: list[str] = []
    for i, (text, row) in enumerate(zip(texts.to_pylist(), counts.tolist(), strict=True)):
        if few_han[i] and math[i] and not code[i]:
            out.append("math")
        elif few_han[i] and (code[i] or ('"' in text and ":" in text and _CODE_LIKE.match(text))):
            out.append("code")
        else:
            out.append(_by_script(text, dict(zip(_CLASSES, row, strict=True)), chinese[i]))
    return out


def _counts(view: CodePoints) -> npt.NDArray[np.int64]:
    """Number of characters of each class in each text, [N, classes]."""
    found = _class_table()[view.narrow]
    high = view.values >= 0x20000
    if high.any():
        found[high & han_flags(view)] = _HAN_CLASS
    count, width = len(view.lengths), len(_CLASSES)
    rows = np.repeat(np.arange(count) * width, view.lengths)
    return np.bincount(rows + found, minlength=count * width).reshape(count, width)


_CLASSES = ("other", "han", "kana", "hiragana", "hangul", "latin", *_SCRIPTS)
_HAN_CLASS = _CLASSES.index("han")


@functools.lru_cache(maxsize=1)
def _class_table() -> npt.NDArray[np.int64]:
    """Class of each code point of the BMP. Hiragana stand apart from the other kana."""
    out = np.zeros(0x10000, np.int64)
    tables = {"han": han_table(), "kana": _KANA, "hiragana": _HIRAGANA, "hangul": _HANGUL, "latin": _LATIN, **_SCRIPTS}
    for name, table in tables.items():
        out[table] = _CLASSES.index(name)
    return out


def _by_script(text: str, counts: dict[str, int], chinese: _Chinese) -> str:
    han, latin, hangul = counts["han"], counts["latin"], counts["hangul"]
    kana = counts["kana"] + counts["hiragana"]
    # A Han character carries about as much as four Latin letters.
    asian = 4 * (han + kana + hangul)
    other = {name: counts[name] for name in _SCRIPTS if counts[name]}
    letters = asian + latin + sum(other.values())
    if letters == 0:
        return _without_prose(text, chinese)
    if asian * 2 >= letters:
        if hangul * 3 >= han and hangul >= kana:
            return "ko"
        if kana and counts["hiragana"] * 12 >= han and kana * 8 >= han:
            return "ja"
        if kana > han or len(_JAPANESE.findall(text)) * 12 >= han + kana:
            return "ja"
        return chinese.code(text)
    script = max(other, key=lambda name: other[name], default="")
    if script and other[script] * 2 >= letters:
        if script == "cyrillic":
            return _cyrillic(text)
        return _arabic(text) if script == "arabic" else script
    found = _classify(text[:1000])
    # names and links between Chinese sentences look like any language of Europe to the model
    return chinese.code(text) if found != "en" and asian * 5 >= letters else found


def _without_prose(text: str, chinese: _Chinese) -> str:
    """What a text is whose letters all stand in titles, addresses or code."""
    if chinese.han:
        return chinese.code(text)
    return "code" if re.search("[A-Za-z]", text) else "und"


def _codes(texts: pa.Array) -> pa.Array:
    return pa.array(detect_language(pc.fill_null(texts, "")), pa.large_string())


@reject(
    "language",
    unit="ISO 639 code",
    examples=(
        ("Это русский текст о погоде и природе.", "ru"),
        ("これは日本語の文章です。", "ja"),
        ("他最喜欢『ノルウェイの森』，with some English。", ""),
    ),
    answers=_codes,
)
def language(texts: pa.Array, *, allowed: tuple[str, ...] = ("zh", "zh-Hant", "lzh", "yue", "en")) -> pa.Array:
    """Reject texts in other languages than the allowed ones.

    Scripts decide first: Tibetan, Mongolian, Uyghur and twelve more have letters of their own. Kana outside titles and
    quotations makes Japanese, hangul Korean. Chinese is told apart by its characters and words: `zh`, `zh-Hant`
    (traditional), `yue` (Cantonese), `lzh` (classical). Latin letters go to py3langid, which sees the first 1,000
    characters. A text that is mostly code or formulas is `code` or `math`, one without letters `und`.

    Called on a string or a string array without parameters, the rule gives the codes themselves.

    Args:
        texts: String array.
        allowed: Codes of the languages that stay.
    """
    found = detect_language(texts)
    bad = np.array([code not in allowed for code in found], np.bool_)
    return evidence(texts, bad, lambda i: f"{found[i]} not in {', '.join(allowed)}")
