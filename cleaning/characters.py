"""Rules over single characters and punctuation marks."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

from cleaning.codepoints import HAN, HAN_RE2, PUNCTUATION
from cleaning.declare import rewrite
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


@rewrite(
    examples=(
        ("第一段。\n第二段 abc\t１℃×²你😀", "第一段。\n第二段 abc１²你"),
        ("ひらがなと漢字，ok", "漢字，ok"),
    )
)
def keep_valid_characters(
    texts: pa.Array, *, emoji: bool = False, scripts: bool = False, mathematics: bool = False
) -> pa.Array:
    """Keep newlines, spaces, Latin letters, digits, Han characters and punctuation; remove every other character.

    Han is U+4E00 to U+9FFF, extension A and 〇.

    Args:
        texts: String array.
        emoji: Whether emoji, arrows and pictographs stay too.
        scripts: Whether letters of all other scripts stay too.
        mathematics: Whether mathematical signs (℃ × ± ≤, Greek letters ...) stay too.
    """
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


@rewrite(
    examples=(
        ("好！！！-----##。。", "好！---##。"),
        ("他说……——真的？？？", "他说……——真的？"),
        ("| --- | --- |", "| --- | --- |"),
    )
)
def collapse_punctuation(texts: pa.Array, *, keep_markdown: bool = True) -> pa.Array:
    """Turn a run of the same punctuation mark into one mark.

    The ellipses `……` and `...`, the dash `——` and `://` stay.

    Args:
        texts: String array.
        keep_markdown: Whether runs of `-`, `#`, `|`, `*`, `_`, `~` and back quotes stay too; four or more `-` become
            `---`.
    """
    run = _RUN_MARKDOWN if keep_markdown else _RUN_PLAIN
    hit = pc.match_substring_regex(texts, _RUN_RE2)
    return rewrite_each(texts, lambda s: _collapse(s, run, markdown=keep_markdown), where=hit)


_CANNOT_CLOSE = (
    "，＂＄＆＇(（＊＋－／；：＜＝＠＼［[＾＿｀｜｛、—–～〈《「『【〔〖“‘\"#$&'*+,-/:;<=@\\^_`{|~ \t\n\u3000"
)
_CANNOT_OPEN = (
    "，。！？、：；）】》〉」』〕〗’”＂％＆＇＊＋／＝＞＼］＾＿｀｜｝～—–@!\"$%&')*+,-/:;<=>?\\]^_`|}~ \t\n\u3000"
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

    A closing 。！？…”）》% stays at the tail; opening brackets, quotes and `#` stay at the head.

    Args:
        texts: String array.
    """
    edges = pc.utf8_rtrim(texts, characters=_CANNOT_CLOSE)
    edges = pc.utf8_ltrim(edges, characters=_CANNOT_OPEN + _DOTS_OPEN)
    return texts if edges.equals(texts) else edges


_STOP = re.compile(rf"(?<=[{HAN}])(?:[.．](?![.．A-Za-z0-9])|\?(?![A-Za-z0-9_=&%?]))")


@rewrite(
    examples=(
        ("你好吗?是的.中*x", "你好吗？是的。中*x"),
        ("第3.5节 附件.pdf 合同.docx", "第3.5节 附件.pdf 合同.docx"),
    )
)
def chinese_full_stop(texts: pa.Array) -> pa.Array:
    """Turn `.` and `．` after a Han character into 。, and `?` into ？.

    Marks between digits, before Latin letters or digits (file names, URLs) and in an ellipsis stay.

    Args:
        texts: String array.
    """
    hit = pc.match_substring_regex(texts, rf"[{HAN_RE2}][.．?]")
    return rewrite_each(texts, lambda s: _STOP.sub(lambda m: "？" if m[0] == "?" else "。", s), where=hit)


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
