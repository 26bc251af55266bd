"""Residue of sites: wiki references, counters, disclaimers, fixed phrases."""

from __future__ import annotations

import re
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from cleaning.declare import rewrite
from cleaning.lexicons import Lexicon, load_lexicon
from cleaning.protected import Kind, is_mark, outside
from cleaning.texts import replaced, rewrite_each
from raylib.paths import PathName

__all__ = ["remove_counters", "remove_phrases", "remove_watermarks", "remove_wiki_references"]

_NUMBERS = r"[0-9]+(?:[–—\-~,，、. ]{1,2}[0-9]+)*"
_PAGES = rf"(?i)\bpp?\.?\s?[=＝]\s?{_NUMBERS}|\bpp\.\s?{_NUMBERS}|第[0-9]+[–—\-][0-9]+[页頁][.。]?"
_MARKS = (
    r"\[(?:[0-9]{1,3}(?:[,，\-–][0-9]{1,3})*|注\s?[0-9]{0,3}|註\s?[0-9]{0,3}"
    r"|来源请求|來源請求|需要引用|原创研究[？?]?|编辑|編輯)\]"
)
# A reference mark stands behind a word or a mark of a sentence, not behind a name in code or another bracket.
_MARK = re.compile(
    r"(?<=[\u3007\u3400-\u9fff，。！？；：、）”》0-9A-Za-z])(?<![A-Za-z0-9_][A-Za-z0-9_])" + _MARKS + r"(?![(\[:.\w])"
)
_DEFINITION = re.compile(r"(?m)^[ \t]*\[[\w^-]{1,20}\]:[ \t]*\S")  # `[1]: https://...` of Markdown
_INLINE_LIST = r"(?m)(?:参考文献|參考文獻|参考资料|參考資料)[:：][^\n]*"
_HEADING = re.compile(
    r"^[#=＝\s【\[]*(?:参考文献|參考文獻|参考资料|參考資料|参考来源|外部链接|外部連結|注释与参考|脚注|參考書目|参考书目)"
    r"[\s=＝】\]]*$"
)
_REFERENCE_LINE = re.compile(
    r"^\s*(?:[\[［(（]?\d{1,3}[\]］)）.、．]|[\-*•·↑^])|(?:1[5-9]|20)\d{2}[年\-.,)）]|ISBN|https?:|www\.|出版社|[《“].+[》”]"
)


def _without_reference_sections(text: str) -> str:
    out: list[str] = []
    inside = False
    for line in text.split("\n"):
        if _HEADING.match(line):
            inside = True
            continue
        if inside and (not line.strip() or _REFERENCE_LINE.search(line)):
            continue
        inside = False
        out.append(line)
    return "\n".join(out).rstrip("\n") if out else ""


@rewrite(
    examples=(
        ("王国pp=66–67, 70。", "王国。"),
        ("首都是巴黎[12]，人口二百万[注 3]。", "首都是巴黎，人口二百万。"),
        ("正文。\n参考文献：李某，某书\n后文。", "正文。\n\n后文。"),
        ("正文。\n== 参考文献 ==\n[1] 李某. 某书. 1999年.", "正文。"),
    )
)
def remove_wiki_references(texts: pa.Array) -> pa.Array:
    """Remove page-number residue (`pp=66–67`), reference marks (`[12]`, `[来源请求]`) and reference sections.

    A section is a heading such as 参考文献 alone on its line and the reference-like lines below it; after
    `参考文献：` the rest of the line is removed. Indices in code (`outputs[0]`) and links (`[text][1]`) stay.

    Args:
        texts: String array.
    """
    return outside(texts, _without_references, Kind.CODE | Kind.FORMULA | Kind.TABLE)


def _without_references(texts: pa.Array) -> pa.Array:
    marked = pc.match_substring_regex(texts, _MARKS)
    texts = rewrite_each(texts, lambda s: s if _DEFINITION.search(s) else _MARK.sub("", s), where=marked)
    texts = replaced(texts, _PAGES, "")
    hit = pc.match_substring_regex(texts, r"(?m)^[#=＝\s【\[]*(?:参考|參考|外部链接|外部連結|注释与|脚注)")
    texts = rewrite_each(texts, _without_reference_sections, where=hit)
    return replaced(texts, _INLINE_LIST, "")


_COUNTED = "点赞|获赞|赞同|收藏|评论|转发|阅读|浏览|分享|在看|喜欢|踩|关注|粉丝|回复"
_COUNT = r"(?<![\d.])\d[\d,.]{0,12}\s?[万wWkK千]?\+?\s?"
_COUNTED_RE2 = rf"[0-9][^\n]{{0,6}}(?:{_COUNTED})|(?:{_COUNTED})[^\n]{{0,6}}[0-9]"
_UNIT = "(?:次|个|人|条)?"
_ONE = (
    rf"(?:{_COUNT}{_UNIT}(?:{_COUNTED})(?![\u3400-\u9fff])|(?:{_COUNTED})(?:数|量)?\s?[(（:：]\s?\d[\d,.]{{0,12}}\s?[万wWkK]?\+?"
    r"\s?[)）]?)"
)
_BETWEEN = r"[ \t·|/，,\u3000]"
# A counter is part of no sentence: it begins a line or follows a full stop or a space, and an end or others follow.
_COUNTERS = re.compile(
    rf"(?m)(?:(?<=^)|(?<=[。！？!? \t\u3000）)]))(?:{_ONE}{_BETWEEN}*)+(?=$|[^\u3400-\u9fffA-Za-z。，])"
    rf"|(?:{_ONE}{_BETWEEN}+)+{_ONE}"
)
_SENTENCE = re.compile(r"[^。！？!?\n]*[。！？!?\n]?")


_ENDS = re.compile(r"[。！？!?\n]")


def _without_phrases(text: str, lexicon: Lexicon, max_length: int) -> str:
    gone: set[int] = set()
    seen = -1
    for hit in lexicon.hits(text):
        if hit.offset < seen:
            continue
        start = max(text.rfind(mark, 0, hit.offset) for mark in "。！？!?\n") + 1
        end = _ENDS.search(text, hit.offset)
        seen = len(text) if end is None else end.end()
        if seen - start <= max_length and not is_mark(text[start]) and lexicon.covers(text[start:seen]):
            gone.add(start)
    if not gone:
        return text
    out: list[str] = []
    for match in _SENTENCE.finditer(text):
        sentence = match[0]
        if match.start() in gone and sentence:
            sentence = "\n" if sentence.endswith("\n") else ""
        if sentence == "\n" and out and out[-1] == "" and (len(out) < 2 or out[-2].endswith("\n")):
            continue  # the line held nothing but what was removed
        out.append(sentence)
    return "".join(out)


@rewrite(
    examples=(
        ("好看！12点赞 3收藏 5评论", "好看！"),
        ("正文在此。\n本文仅代表作者个人观点，与本站无关。\n（全文完）", "正文在此。\n"),
        ("他有3个收藏夹，评论说得对。", "他有3个收藏夹，评论说得对。"),
    )
)
def remove_counters(texts: pa.Array, *, lexicon: PathName = "counters", max_length: int = 80) -> pa.Array:
    """Remove residue of forums: counters of likes, shares and comments, disclaimers of authors, "full text ends" lines.

    A counter is a number next to 点赞, 收藏, 评论 ... that stands outside a sentence: 在海外有800万粉丝 is none. A
    short sentence of which phrases of the lexicon make most is removed; others count as prose.

    Args:
        texts: String array.
        lexicon: Name of a built-in lexicon or path of a file, with phrases of such sentences.
        max_length: Length of the longest sentence that is removed, in characters.
    """
    counted = pc.match_substring_regex(texts, _COUNTED_RE2)
    phrases = load_lexicon(lexicon)

    def without(free: pa.Array) -> pa.Array:
        free = rewrite_each(free, lambda s: _COUNTERS.sub("", s), where=pc.match_substring_regex(free, _COUNTED_RE2))
        return rewrite_each(free, lambda s: _without_phrases(s, phrases, max_length) if phrases.contains(s) else s)

    candidates = pc.or_(counted, pc.match_substring_regex(texts, "|".join(map(re.escape, phrases.words))))
    return outside(texts, without, candidates=candidates)


_SITE_WORDS = "本站|永久|免费|阅读|小说|最新|章节|无弹窗|首发|手打|全文字?|更新|下载|在线|请记住|网址|地址"
_WATERMARKS = re.compile(
    rf"[~～*＊^＾·.\-_]{{0,2}}(?:(?:{_SITE_WORDS})[~～*＊^＾·.\-_]{{1,2}}){{2,}}(?:(?:{_SITE_WORDS})[~～*＊^＾]?)?"
    r"|[（(【\[][^（）()【】\[\]\n]{0,24}(?:小说网|文学网|书屋|书吧|首发|手打)[^（）()【】\[\]\n]{0,24}[）)】\]]"
    r"|[（(【\[]\s*(?=[^（）()【】\[\]\n]*(?:[ｗＷａ-ｚＡ-Ｚ．。]|\w \.))"
    r"[wｗＷW]{3}\s*[.．。][^（）()【】\[\]\n]{2,40}[）)】\]](?![\[(])"
    r"|(?<![\w/:@.])(?=[a-zA-Z0-9.。]*[ｗＷａ-ｚＡ-Ｚ．])[wｗＷW]{3}[.．。][a-zA-Z0-9ａ-ｚＡ-Ｚ０-９]{2,24}[.．。][a-zａ-ｚ]{2,4}"
)
_WATERMARKED = (
    r"(?:[~～*＊^＾·.\-_](?:本站|永久|免费|小说|首发|手打|无弹窗))|小说网|文学网|书屋|手打|[wｗＷW]{3}\s*[.．。]"
)


@rewrite(
    examples=(
        (
            "老周把各村的用~本站~永久~免费~阅读~水量记下来。（wｗw.Ｘiaoshuo.cｏm 小说网首发）天黑了。",
            "老周把各村的用水量记下来。天黑了。",
        ),
        ("他在小说网站上免费阅读了最新章节。", "他在小说网站上免费阅读了最新章节。"),
    )
)
def remove_watermarks(texts: pa.Array) -> pa.Array:
    """Remove what novel sites write into sentences against copying: broken-up phrases, the site's name or address.

    Args:
        texts: String array.
    """

    def without(free: pa.Array) -> pa.Array:
        hit = pc.match_substring_regex(free, _WATERMARKED)
        return rewrite_each(free, lambda s: _WATERMARKS.sub("", s), where=hit)

    return outside(texts, without, Kind.CODE | Kind.FORMULA, candidates=pc.match_substring_regex(texts, _WATERMARKED))


@rewrite(
    examples=(
        ("概述图书馆藏书丰富。", "图书馆藏书丰富。"),
        ("概念很重要。", "概念很重要。"),
    )
)
def remove_phrases(
    texts: pa.Array,
    *,
    phrases: tuple[str, ...] = ("概述", "图片发自简书app", "图片发自简书App", "[转载]"),
    at: Literal["start", "anywhere"] = "start",
) -> pa.Array:
    """Remove fixed phrases at the start of a text (whole prefixes, never single characters), or anywhere.

    Args:
        texts: String array.
        phrases: Phrases to remove.
        at: Where phrases are removed.
    """
    choice = "|".join(re.escape(p) for p in sorted(phrases, key=len, reverse=True))
    if not choice:
        return texts
    return replaced(texts, rf"\A(?:{choice})+[\s:：]*" if at == "start" else f"(?:{choice})", "")
