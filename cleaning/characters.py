"""Rules over single characters and punctuation marks."""

from __future__ import annotations

import re
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from cleaning.codepoints import HAN, HAN_RE2, PUNCTUATION
from cleaning.declare import rewrite
from cleaning.protected import outside
from cleaning.texts import replaced, rewrite_each

__all__ = [
    "chinese_full_stop",
    "collapse_punctuation",
    "keep_valid_characters",
    "trim_punctuation",
    "unify_quotes",
]

_EMOJI = (
    r"\x{1f000}-\x{1faff}\x{2600}-\x{27bf}\x{2b00}-\x{2bff}\x{fe0f}\x{200d}\x{20e3}\x{2190}-\x{21ff}\x{2300}-\x{23ff}"
)
_MATHEMATICS = r"\x{2200}-\x{22ff}\x{2100}-\x{214f}\x{b0}\x{b1}\x{d7}\x{f7}\x{370}-\x{3ff}\x{2032}\x{2033}\p{Sm}"


def _re2_class(characters: str) -> str:
    return "".join(f"\\x{{{ord(c):x}}}" for c in characters)


_VALID = (
    r"\n \p{Latin}\p{Nd}\x{b2}\x{b3}\x{b9}\x{2070}-\x{2079}\x{2080}-\x{2089}\x{2460}-\x{24ff}"
    + HAN_RE2
    + _re2_class(PUNCTUATION)
)


_CONTROLS = r"\x{00}-\x{08}\x{0b}\x{0c}\x{0e}-\x{1f}\x{7f}-\x{9f}"
_INVISIBLE = r"\x{200b}\x{200e}\x{200f}\x{2028}\x{2029}\x{202a}-\x{202e}\x{2060}-\x{206f}\x{feff}\x{fff9}-\x{fffd}"
_PRIVATE = r"\x{e000}-\x{f8ff}\x{f0000}-\x{10fffd}"
_NO_CHARACTERS = r"\x{fdd0}-\x{fdef}\x{fffe}\x{ffff}\x{323b0}-\x{e0000}"
_DENIED = f"[{_CONTROLS}{_INVISIBLE}{_PRIVATE}{_NO_CHARACTERS}]+"


@rewrite(
    examples=(
        ("张三\t男\u200b\ue5d2\ufffd卷二○ ½杯 3‰ 郭𬭎", "张三\t男卷二○ ½杯 3‰ 郭𬭎"),
        ("你好\x07，世界", "你好，世界"),
    )
)
def keep_valid_characters(
    texts: pa.Array,
    *,
    style: Literal["deny", "allow"] = "deny",
    emoji: bool = False,
    scripts: bool = False,
    mathematics: bool = False,
) -> pa.Array:
    """Remove what is no character of a text: control and invisible characters, private use, U+FFFD, noncharacters.

    Letters, numbers, marks and signs of all scripts stay, as do tabs and newlines. The style `allow` works the other
    way round and costs much: it keeps newlines, spaces, Latin letters, digits, Han characters of U+4E00 to U+9FFF and
    extension A, and common punctuation, and removes every other character (○ of 一○六七, rare names, ‰, ½, tabs).

    Args:
        texts: String array.
        style: Whether listed characters are removed (`deny`), or all but listed ones (`allow`).
        emoji: Whether `allow` keeps emoji, arrows and pictographs.
        scripts: Whether `allow` keeps letters of all other scripts.
        mathematics: Whether `allow` keeps mathematical signs (℃ × ± ≤, Greek letters ...).
    """
    if style == "deny":
        return replaced(texts, _DENIED, "")
    allowed = _VALID
    if emoji:
        allowed += _EMOJI
    if scripts:
        allowed += r"\p{L}\p{M}"
    if mathematics:
        allowed += _MATHEMATICS
    return replaced(texts, f"[^{allowed}]+", "")


_RUN_MARKS = "".join(sorted(set(PUNCTUATION) - set("-#|.…—*`_~/<>（）()《》[]【】{}“”‘’\"'")))
_PAIRS = "（）()《》[]【】{}“”‘’\"'<>/"
_MARKDOWN_MARKS = "-#|*`_~"
_RUN_PLAIN = re.compile(rf"([{re.escape(_RUN_MARKS + _PAIRS + _MARKDOWN_MARKS)}])\1+")
_RUN_MARKDOWN = re.compile(rf"(?<!:)([{re.escape(_RUN_MARKS + _PAIRS)}])\1+|(?<=:)(/)/{{2,}}")
_RUN_RE2 = "|".join(f"{re.escape(c)}{{2}}" for c in PUNCTUATION if c != "\n")


def _collapse(text: str, run: re.Pattern[str], *, markdown: bool) -> str:
    text = run.sub(lambda m: m[1] or "//", text)
    text = re.sub(r"\.{2,}", lambda m: "." if len(m[0]) == 2 else "...", text)
    text = re.sub(r"…{3,}", "……", text)
    text = re.sub(r"—{3,}", "——", text)
    if markdown:
        text = re.sub(r"-{4,}", "---", text)
    return text


_PROSE_RUN_RE2 = r"，，|。。|、、|；；|：：|！！|？？|!!|\?\?|\.{4}|…{3}|—{3}|[~～]{3}"
_SHORTENED = (
    *((f"{mark}{{2,}}", mark) for mark in "，。、；：！？"),
    (rf"([{HAN_RE2}）”’》])([!?])[!?]+", r"\1\2"),
    (r"\.{7,}", "......"),
    (r"…{3,}", "……"),
    (r"—{3,}", "——"),
    (r"([~～])[~～]{2,}", r"\1"),
)


def _collapse_prose(texts: pa.Array) -> pa.Array:
    for run, mark in _SHORTENED:
        texts = replaced(texts, run, mark)
    return texts


@rewrite(
    examples=(
        ("好！！！真的？？？，，走了。。", "好！真的？，走了。"),
        ("他说……——真的", "他说……——真的"),
        ("C++ 里 a == b，// 注释，i++", "C++ 里 a == b，// 注释，i++"),
    )
)
def collapse_punctuation(
    texts: pa.Array, *, style: Literal["prose", "all"] = "prose", keep_markdown: bool = True
) -> pa.Array:
    """Turn a run of the same punctuation mark into one mark.

    The style `prose` looks at the marks of Chinese sentences only (and at `!` and `?` behind Han characters), outside
    code, formulas, tables and addresses; ellipses and dashes keep their length of two. The style `all` looks at every
    mark anywhere, and so changes `C++`, `==`, `//` and `$$`; only the ellipses `……` and `...`, the dash `——` and `://`
    stay.

    Args:
        texts: String array.
        style: Which marks are looked at.
        keep_markdown: Whether `all` leaves runs of `-`, `#`, `|`, `*`, `_`, `~` and back quotes; four or more `-`
            become `---`.
    """
    if style == "prose":
        return outside(texts, _collapse_prose, candidates=pc.match_substring_regex(texts, _PROSE_RUN_RE2))
    run = _RUN_MARKDOWN if keep_markdown else _RUN_PLAIN
    hit = pc.match_substring_regex(texts, _RUN_RE2)
    return rewrite_each(texts, lambda s: _collapse(s, run, markdown=keep_markdown), where=hit)


_CANNOT_CLOSE = (
    "，＂＄＆＇(（＊＋－／；：＜＝＠＼［[＾＿｀｜｛、—–～〈《「『【〔〖“‘\"#$&'*+,-/:;<=@\\^_`{|~ \t\n\u3000"
)
_CANNOT_OPEN = (
    "，。！？、：；）】》〉」』〕〗’”＂％＆＇＊＋／＝＞＼］＾＿｀｜｝～—–@!\"$%&')*+,-/:;=>?\\]^_`|}~ \t\n\u3000"
)
_DOTS_OPEN = "….．"


@rewrite(
    examples=(
        ("，。、《好》", "《好》"),
        ("...）好", "好"),
        ("好(", "好"),
        ("“好。”", "“好。”"),
        ("涨50%", "涨50%"),
        ("# 标题，", "# 标题"),
    )
)
def trim_punctuation(texts: pa.Array) -> pa.Array:
    """Remove marks from the head and the tail of a text that cannot open or close it.

    A closing 。！？…”）》% stays at the tail; opening brackets, quotes and `#` stay at the head. So do code, formulas
    and marks of Markdown at either end, and a bracket whose partner is in the text.

    Args:
        texts: String array.
    """
    return outside(texts, _trimmed)


def _trimmed(texts: pa.Array) -> pa.Array:
    edges = pc.utf8_rtrim(texts, characters=_CANNOT_CLOSE)
    edges = pc.utf8_ltrim(edges, characters=_CANNOT_OPEN + _DOTS_OPEN)
    return texts if edges.equals(texts) else edges


_CLOSES = "）)】》」”’"
_STOP = re.compile(rf"(?<=[{HAN}{_CLOSES}%％])[.．](?=[{HAN}（(《“「\s]|$)(?!\s*[A-Za-z0-9])")
_QUESTION = re.compile(rf"(?<=[{HAN}{_CLOSES}])\?(?![A-Za-z0-9_=&%?])")
_ASKS = re.compile(
    r"[吗呢吧么嘛]$|什么|怎|谁|哪|几|何|为啥|咋|多少|多大|多久|是否|是不是|有没有|能不能|可不可以|会不会|难道|请问"
)
_CLAUSE_BORDER = re.compile(r"[。！？；\n.!?]")


def _with_full_stops(text: str) -> str:
    # Where 。 ends the sentences, a point between Han characters is part of a name: 约翰.史密斯.
    if len(_STOP.findall(text)) > text.count("。"):
        text = _STOP.sub("。", text)
    return _QUESTION.sub(_question, text)


def _question(match: re.Match[str]) -> str:
    """？ behind a question or at the end of a line; a `?` elsewhere is often a character that was lost: 阿里?汗."""
    before = match.string[max(0, match.start() - 40) : match.start()]
    clause = _CLAUSE_BORDER.split(before)[-1]
    after = match.string[match.end() : match.end() + 1]
    return "？" if after in ("", "\n", "”", "」", " ") or _ASKS.search(clause) else "?"


@rewrite(
    examples=(
        ("你好吗?是的.中*x", "你好吗？是的。中*x"),
        ("第3.5节 附件.pdf 合同.docx", "第3.5节 附件.pdf 合同.docx"),
        ("约翰.史密斯走了。国王阿里?汗也走了。", "约翰.史密斯走了。国王阿里?汗也走了。"),
    )
)
def chinese_full_stop(texts: pa.Array) -> pa.Array:
    """Turn a `.` or `．` that ends a Chinese sentence into 。, and a `?` that ends a question into ？.

    A point counts as the end of a sentence in texts that have more of them than of 。; in others it is part of a name.
    A `?` counts behind a word that asks, or at the end of a line. Marks between digits, before Latin letters or digits
    (file names, URLs), in titles 《》, in code and in an ellipsis stay.

    Args:
        texts: String array.
    """
    stop = rf"[{HAN_RE2}{_CLOSES}%％][.．?]"
    hit = pc.match_substring_regex(texts, stop)

    def ended(free: pa.Array) -> pa.Array:
        return rewrite_each(free, _with_full_stops, where=pc.match_substring_regex(free, stop))

    return outside(texts, ended, candidates=hit)


_QUOTES = str.maketrans("「」『』﹁﹂﹃﹄", "“”‘’“”‘’")
_SQUARE = str.maketrans("【】", "[]")


@rewrite(examples=(("「你好」他说『嗯』", "“你好”他说‘嗯’"), ("【公告】", "【公告】")))
def unify_quotes(texts: pa.Array, *, square_brackets: bool = False) -> pa.Array:
    """Turn corner brackets 「」『』 into quotation marks “”‘’.

    Args:
        texts: String array.
        square_brackets: Whether 【】 become [ ] too.
    """
    texts = rewrite_each(
        texts, lambda s: s.translate(_QUOTES), where=pc.match_substring_regex(texts, "[「」『』﹁﹂﹃﹄]")
    )
    if square_brackets:
        texts = rewrite_each(texts, lambda s: s.translate(_SQUARE), where=pc.match_substring_regex(texts, "[【】]"))
    return texts
