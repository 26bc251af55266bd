"""Language by script first, then by words that only one language has, and by a statistical model for what is left."""

from __future__ import annotations

import functools
import re

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cleaning.chinese_scripts import simplified_only, traditional_only
from cleaning.codepoints import CodePoints, Flags, codepoints, flags, han_flags, space_flags, table_of
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
_CANTONESE = re.compile("[嘅咗喺唔佢哋啲嚟嘢乜冇攞嗰噉瞓嬲氹嘥咩啱睇]")
_MODERN = re.compile("[的了是在这這那们們个個着很么麼吗嗎呢吧把被给給]")
_CLASSICAL = re.compile("[之乎者也矣焉曰其而于於以为為吾汝尔爾故乃則则哉兮遂]")
_ENOUGH = 12  # Han characters below which Chinese is just Chinese


_LATIN_LANGUAGES = frozenset(
    [
        "en",
        "de",
        "fr",
        "es",
        "pt",
        "it",
        "nl",
        "sv",
        "da",
        "no",
        "fi",
        "pl",
        "cs",
        "sk",
        "hu",
        "ro",
        "hr",
        "sl",
        "lt",
        "lv",
        "et",
        "tr",
        "vi",
        "id",
        "ms",
        "tl",
        "sw",
        "la",
        "eo",
        "ca",
    ]
)


@functools.lru_cache(maxsize=4096)
def _classify(text: str) -> str:
    """Language of a text in Latin letters by the statistical model of py3langid."""
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


def _chinese(text: str) -> str:
    """zh, zh-Hant, yue or lzh, for a text of Han characters."""
    han = [c for c in text if c >= "\u3400"]
    if len(_CANTONESE.findall(text)) * 50 >= len(han) and len(set(_CANTONESE.findall(text))) >= min(
        2, len(han) // 8 + 1
    ):
        return "yue"
    if len(han) >= _ENOUGH and len(_MODERN.findall(text)) * 100 <= len(han):
        classical = len(_CLASSICAL.findall(text))
        if classical * 25 >= len(han) or _is_verse(text):
            return "lzh"
    traditional, simplified = (
        sum(table[ord(c)] for c in han if c <= "\uffff") for table in (traditional_only(), simplified_only())
    )
    return "zh-Hant" if traditional > simplified and traditional * 30 >= len(han) else "zh"


_VERSE = re.compile(r"(?m)^\s*([\u3400-\u9fff]{4,7})[，、]([\u3400-\u9fff]{4,7})[。！？；]")


def _is_verse(text: str) -> bool:
    lines = _VERSE.findall(text)
    return len(lines) >= 2 and all(len(a) == len(b) for a, b in lines)


def _protected_share(texts: pa.Array, view: CodePoints, kinds: Kind) -> npt.NDArray[np.float64]:
    covered = np.zeros(len(texts))
    for row, found in spans(texts).items():
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
    outside = prose(texts, _OUTSIDE_TITLES)
    names = {"han": han_flags, "kana": _KANA, "hiragana": _HIRAGANA, "hangul": _HANGUL, "latin": _LATIN, **_SCRIPTS}
    counts = {
        name: outside.count(table(outside) if callable(table) else flags(outside, table))
        for name, table in names.items()
    }
    solid = np.maximum(view.lengths - view.count(space_flags(view)), 1)
    whole_han = view.count(han_flags(view))
    code = _protected_share(texts, view, Kind.CODE) >= 0.7
    math = _protected_share(texts, view, Kind.FORMULA) >= 0.5
    listed = texts.to_pylist()
    out: list[str] = []
    for i, text in enumerate(listed):
        few_han = whole_han[i] * 5 < solid[i] and not (
            counts["han"][i] >= 4 and counts["han"][i] * 2 > outside.lengths[i]
        )
        if few_han and math[i] and not code[i]:
            out.append("math")
        elif few_han and (code[i] or (_CODE_LIKE.match(text) and '"' in text and ":" in text)):
            out.append("code")
        else:
            out.append(_by_script(text, {name: int(c[i]) for name, c in counts.items()}))
    return out


def _by_script(text: str, counts: dict[str, int]) -> str:
    # A Han character carries about as much as four Latin letters.
    asian = 4 * (counts["han"] + counts["kana"] + counts["hangul"])
    scripts = {name: counts[name] for name in _SCRIPTS}
    script = max(scripts, key=lambda name: scripts[name])
    letters = asian + counts["latin"] + sum(scripts.values())
    if letters == 0:
        return _without_prose(text)
    if asian * 2 >= letters:
        if counts["hangul"] * 3 >= counts["han"] and counts["hangul"] >= counts["kana"]:
            return "ko"
        if counts["hiragana"] * 12 >= counts["han"] and counts["kana"] * 8 >= counts["han"]:
            return "ja"
        if counts["kana"] > counts["han"] or len(_JAPANESE.findall(text)) * 12 >= counts["han"] + counts["kana"]:
            return "ja"
        return _chinese(text)
    if scripts[script] * 2 >= letters:
        if script == "cyrillic":
            return _cyrillic(text)
        return _arabic(text) if script == "arabic" else script
    return _classify(text[:1000])


def _without_prose(text: str) -> str:
    """What a text is whose letters all stand in titles, addresses or code."""
    if any(c >= "\u3400" and c <= "\u9fff" for c in text):
        return _chinese(text)
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
