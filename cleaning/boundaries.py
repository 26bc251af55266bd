"""Rules that cut at sentences: boilerplate at the ends, broken ends, short sentences."""

from __future__ import annotations

import re
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from cleaning.declare import rewrite
from cleaning.lexicons import Lexicon, load_lexicon
from cleaning.protected import Kind, is_mark, outside
from cleaning.texts import rewrite_each
from raylib.paths import PathName
from raylib.stage.bounds import Share

__all__ = [
    "cut_boilerplate_ends",
    "cut_ends",
    "cut_partial_ends",
    "drop_short_sentences",
    "drop_unfinished_tail",
]

_SENTENCE = re.compile(r"[^。！？\n]*(?:[。！？\n]+|\Z)")
_HEADING = re.compile(r"#{1,6} ")


# 推荐阅读年龄段：一岁半到三岁，我儿子很喜欢 holds a phrase of notices and is none.
_ABOUT_NOTHING_ELSE = 0.25


def _sentences(text: str) -> list[str]:
    return [s for s in _SENTENCE.findall(text) if s]


_OPEN = {"《": "》", "（": "）", "(": ")", "“": "”", "「": "」", "【": "】"}


def _whole(text: str, cut: int) -> int:
    """The cut, moved to the end of its line if it would stand between brackets: 原标题：《快讯！事故通报》."""
    line = text[text.rfind("\n", 0, cut) + 1 : cut]
    if any(line.count(opening) > line.count(closing) for opening, closing in _OPEN.items()):
        end = text.find("\n", cut)
        return len(text) if end < 0 else end + 1
    return cut


def _boilerplate_length(sentences: list[str], lexicon: Lexicon, window: int, limit: int) -> int:
    """Characters to cut from this end, up to `limit`: through the last hit before `window` clean sentences."""
    cut = position = clean = 0
    for sentence in sentences:
        position += len(sentence)
        if position > limit:
            break
        if lexicon.covers(sentence, _ABOUT_NOTHING_ELSE):
            cut, clean = position, 0
        elif sentence.strip():
            clean += 1
            if clean >= window:
                break
    return cut


def _without_boilerplate(text: str, lexicon: Lexicon, ends: str, window: int, max_share: float) -> str:
    sentences = _sentences(text)
    limit = int(len(text) * max_share)
    head = _boilerplate_length(sentences, lexicon, window, limit) if ends in ("both", "head") else 0
    tail = _boilerplate_length(sentences[::-1], lexicon, window, limit) if ends in ("both", "tail") else 0
    head = _whole(text, head)
    if head + tail >= len(text):  # one phrase from end to end: the length rule will say so
        return ""
    # a heading before a notice is that of the text
    headings = [
        line for line in text[:head].splitlines(keepends=True) if _HEADING.match(line) and not lexicon.contains(line)
    ]
    return "".join([*headings, text[head : len(text) - tail]])


@rewrite(
    cuts=True,
    examples=(
        (
            "点击上方蓝字关注我们。\n春天来了，山里的桃花都开了。\n人们走出家门去看花。\n河水也涨了起来。\n本文版权归原作者所有。",
            "春天来了，山里的桃花都开了。\n人们走出家门去看花。\n河水也涨了起来。\n",
        ),
    ),
)
def cut_boilerplate_ends(
    texts: pa.Array,
    *,
    lexicon: PathName = "boilerplate_wechat",
    window: int = 5,
    ends: Literal["both", "head", "tail"] = "both",
    max_share: Share = 0.4,
) -> pa.Array:
    """Cut advertising and notices from the head and the tail of a text.

    Sentences end at 。！？ and newline. From the head, a sentence of which phrases of the lexicon make a quarter moves
    the cut behind it; `window` clean sentences in a row end the scan. The tail is scanned in the same way. Each scan
    takes at most `max_share` of the characters, so a chain of hits cannot eat an article.

    Args:
        texts: String array.
        lexicon: Name of a built-in lexicon or path of a file, with phrases of boilerplate.
        window: Number of clean sentences in a row that end a scan.
        ends: Which ends are cut.
        max_share: Largest share of a text's characters that each scan may take, 0 to 1.
    """
    words = load_lexicon(lexicon)

    def cut(free: pa.Array) -> pa.Array:
        return rewrite_each(
            free, lambda s: _without_boilerplate(s, words, ends, window, max_share) if words.contains(s) else s
        )

    return outside(texts, cut, Kind.CODE | Kind.FORMULA | Kind.TABLE)


_GOES_ON = re.compile(r"\s*[，。、；：！？）」』”’》】,;:)\]]")
_STOP = re.compile(r"[。！？!?…\n]|(?<![\d.])\.(?=\s|$)")


def _without_partial_ends(text: str, reference: bool) -> str:
    if reference:
        first = re.search(r"[。！？\n]", text)
        last = max(text.rfind(m) for m in "。！？”")
        return text if first is None or last <= first.end() - 1 else text[first.end() : last + 1]
    if _GOES_ON.match(text):
        first = _STOP.search(text, len(text) - len(text.lstrip()) + 1)
        if first is not None and first.end() < len(text):
            text = text[first.end() :].lstrip("\n")
    return _finished(text)


@rewrite(
    cuts=True,
    examples=(
        ("，就走了。第二天下雨。大家都没有出门，因为", "第二天下雨。"),
        ("种田的人最怕春旱。修了水库以后，这种担心少了许多。", "种田的人最怕春旱。修了水库以后，这种担心少了许多。"),
    ),
)
def cut_partial_ends(texts: pa.Array, *, style: Literal["visible", "reference"] = "visible") -> pa.Array:
    """Cut the first and the last sentence fragment: for books and excerpts that were cut in the middle.

    A head is a fragment if it begins with a mark that goes on (，。、）”); a tail if it ends as in
    `drop_unfinished_tail`. The style `reference` takes the first and the last sentence of every text.

    Args:
        texts: String array.
        style: Whether a fragment has to be visible, or every first sentence counts.
    """
    return rewrite_each(texts, lambda s: _without_partial_ends(s, style == "reference"))


@rewrite(cuts=True, examples=(("前言" * 3 + "正文。", "前言" * 3 + "正文。"),))
def cut_ends(texts: pa.Array, *, head: int = 0, tail: int = 0) -> pa.Array:
    """Cut a fixed number of characters from the start and the end of a text (front and back matter of e-books).

    Args:
        texts: String array.
        head: Number of characters to cut from the start.
        tail: Number of characters to cut from the end.
    """
    if not head and not tail:
        return texts
    return rewrite_each(texts, lambda s: s[head : len(s) - tail] if len(s) > head + tail else "")


_CUT_MARKS = "，、；：,;:（(《“‘「『【[-—~～"
# Words with which no sentence ends. 的 and 了 often do.
_CUT_WORDS = re.compile(
    r"(?:以及|或者|但是|可是|然而|因为|由于|所以|因此|如果|假如|虽然|尽管|即使|并且|而且|不仅|不但|为了|关于|对于|根据|按照|通过|随着|除了|"
    r"例如|比如|其中|包括|一个|这个|那个|这种|那种|一种|[和与及或在把被对从向给让使将且而若因则之])$"
)


def _looks_cut(tail: str) -> bool:
    """Whether a text that no mark ends was cut: it goes on with a comma, or ends with a word that needs another."""
    return tail[-1] in _CUT_MARKS or _CUT_WORDS.search(tail) is not None


def _finished(text: str) -> str:
    stripped = text.rstrip()
    if not stripped or is_mark(stripped[-1]) or not _looks_cut(stripped[-40:]):
        return text
    ends = [m.end() for m in _STOP.finditer(stripped)]
    cut = ends[-1] if ends else 0
    return stripped[:cut].rstrip("\n") if cut and len(stripped) - cut <= _LONGEST_TAIL else text


_LONGEST_TAIL = 300  # characters: what is longer is no fragment of a sentence


def _finished_reference(text: str) -> str:
    stripped = text.rstrip()
    if not stripped or stripped[-1] in "。！？”…!?":
        return stripped if stripped != text else text
    cut = max(text.rfind(mark) for mark in "。！？”…\n")
    return text[: cut + 1].rstrip("\n") if cut >= 0 else text


@rewrite(
    cuts=True,
    examples=(
        ("雨停了。孩子们跑出门，在", "雨停了。"),
        ("雨停了。主要景点有东湖、西山和北园", "雨停了。主要景点有东湖、西山和北园"),
        ("准确率达到 93.2%.", "准确率达到 93.2%."),
        ("无标点", "无标点"),
    ),
)
def drop_unfinished_tail(texts: pa.Array, *, style: Literal["visible", "reference"] = "visible") -> pa.Array:
    """Cut off a last sentence that was not written to its end.

    A tail is unfinished if it ends with a comma, a colon, an opening bracket, or a word that needs another one behind
    it (和, 在, 因为). A missing full stop alone is no sign: many texts end with a list, a source, a bracket or code.
    The style `reference` cuts back to the last 。！？”… or newline whatever stands behind it.

    Args:
        texts: String array.
        style: Whether the cut has to be visible, or every tail without a mark counts.
    """
    if style == "reference":
        unfinished = pc.invert(pc.match_substring_regex(texts, r"[。！？”…!?]\z"))
        return rewrite_each(texts, _finished_reference, where=unfinished)

    def finished(free: pa.Array) -> pa.Array:
        unfinished = pc.invert(pc.match_substring_regex(free, r"[。！？”…!?\p{Co}]\s*\z"))
        return rewrite_each(free, _finished, where=unfinished)

    return outside(texts, finished)


_WITH_MARK = re.compile(r"[^。！？!?\n]*[。！？!?\n]+|[^。！？!?\n]+\Z")


def _without_short_sentences(text: str, min_length: int, keep_tail: bool) -> str:
    out = []
    for sentence in _WITH_MARK.findall(text):
        ended = sentence[-1] in "。！？!?\n"
        if not ended and not keep_tail:
            continue
        asks = sentence.rstrip("\n")[-1:] in ("？", "?")
        if asks or len(sentence.strip("。！？!? \t\n\u3000")) >= min_length:
            out.append(sentence)
        elif "\n" in sentence and out and not out[-1].endswith("\n"):
            out.append("\n")
    return "".join(out)


@rewrite(cuts=True, examples=(("嗯。今天天气不错。吃什么药？贈太保。", "今天天气不错。吃什么药？贈太保。"),))
def drop_short_sentences(texts: pa.Array, *, min_length: int = 2, keep_tail: bool = True) -> pa.Array:
    """Drop very short sentences, which say nothing; questions stay.

    Chinese says a fact in three characters (贈太保。), so a greater length takes facts away.

    Args:
        texts: String array.
        min_length: Least length of a sentence, in characters without its marks and surrounding white space.
        keep_tail: Whether a tail without a closing mark stays, if it is long enough.
    """
    return outside(texts, lambda free: rewrite_each(free, lambda s: _without_short_sentences(s, min_length, keep_tail)))
