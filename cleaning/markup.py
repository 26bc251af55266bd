"""Markup to plain text: HTML, links of Markdown, BBCode of forums, wikitext, escapes of scripts."""

from __future__ import annotations

import html
import re

import pyarrow as pa
import pyarrow.compute as pc

from cleaning.declare import rewrite
from cleaning.html_text import LOOKS_LIKE_TAG, html_to_text, is_page
from cleaning.protected import Kind, outside
from cleaning.texts import rewrite_each

__all__ = ["strip_markup"]

_ENTITY = r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});"
_TARGET = (
    r"\([^()\s]{0,2000}(?:\([^()\s]{0,2000}\)[^()\s]{0,2000})?"
    r"(?:\s+\"[^\"\n]{0,1000}\"|\s+'[^'\n]{0,1000}')?\s*\)"
)
_IMAGE = re.compile(r"!\[[^\[\]\n]{0,1000}\]" + _TARGET)
_LINK = re.compile(r"\[([^\[\]\n]{0,1000})\](" + _TARGET + ")")
_ADDRESS = re.compile(r"^(?!\(\d+[:：]\d).*[/.#:?]|^\(\)$")  # `a[1](2)` is a formula, `[1](#note)` a link

# What a script wrote into a page. One escape may be an example, two in a row are residue.
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})|\\([\"'/])")
_ESCAPED_RE2 = r"\\u[4-9][0-9a-fA-F]{3}\\u[4-9]|\\x3[cCeE]|\\u003[cCeE]"

_BBCODE_NAMES = (
    "b|i|u|s|p|color|size|font|align|url|email|quote|list|table|tr|td|backcolor|indent|float|hide|free|"
    "center|left|right"
)
_BBCODE_DROPPED = re.compile(
    r"\[(img|attach|attachimg|media|flash|audio|video|emot)\b[^\]\n]{0,200}\][^\[\n]{0,500}\[/\1\]", re.IGNORECASE
)
_BBCODE_TAG = re.compile(rf"\[/?(?:{_BBCODE_NAMES})(?:=[^\]\n]{{0,200}})?\]|\[\*\]|\[hr\]", re.IGNORECASE)
_BBCODE_RE2 = rf"(?i)\[/(?:{_BBCODE_NAMES}|img|attach|media|code)\]"
_BBCODE_CODE = re.compile(r"\[code\b[^\]]*\](.*?)\[/code\]", re.IGNORECASE | re.DOTALL)

_WIKITEXT_RE2 = r"<ref[ />]|\[\[[^\[\]\n]+\]\]|'''[^'\n]+'''"
_REFERENCE = re.compile(r"<ref(?:\s[^<>]{0,300})?/>|<ref(?:\s[^<>]{0,300})?>.{0,2000}?</ref>", re.S | re.I)
_TEMPLATE = re.compile(r"\{\{[^{}]{0,3000}\}\}\n?")
_WIKI_TABLE = re.compile(r"^\{\|.{0,20000}?^\|\}", re.M | re.S)
_WIKI_FILE = re.compile(
    r"\[\[(?:File|Image|Category|文件|檔案|档案|图像|圖像|分类|分類)\s?[:：](?:[^\[\]]|\[\[[^\[\]]{0,300}\]\]){0,600}\]\]\n?",
    re.IGNORECASE,
)
_WIKI_LINK = re.compile(r"\[\[(?:[^\[\]|\n]{0,300}\|)?([^\[\]|\n]{1,300})\]\]")
_OUTER_LINK = re.compile(r"\[https?://\S{1,500}\s+([^\[\]\n]{1,300})\]")
_QUOTES = re.compile(r"'{2,5}")
_WIKI_HEADING = re.compile(r"^(={2,6})[ \t]*([^=\n]{1,100}?)[ \t]*\1[ \t]*$", re.M)
_SWITCH = re.compile(r"__(?:TOC|NOTOC|FORCETOC|NOEDITSECTION)__")


def _unescaped(text: str) -> str:
    """The text with the escapes of a script decoded; as it is where a pair of surrogates is broken."""
    decoded = _ESCAPE.sub(lambda m: chr(int(m[1] or m[2], 16)) if m[1] or m[2] else m[3], text)
    try:
        return decoded.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        return text


def _without_bbcode(text: str) -> str:
    text = _BBCODE_CODE.sub(r"```\n\1\n```", text)
    return _BBCODE_TAG.sub("", _BBCODE_DROPPED.sub("", text))


def _without_wikitext(text: str) -> str:
    text = _WIKI_TABLE.sub("", _REFERENCE.sub("", text))
    for _ in range(4):  # templates in templates
        shorter = _TEMPLATE.sub("", text)
        if shorter == text:
            break
        text = shorter
    text = _OUTER_LINK.sub(r"\1", _WIKI_LINK.sub(r"\1", _WIKI_FILE.sub("", text)))
    text = _SWITCH.sub("", _QUOTES.sub("", text))
    return _WIKI_HEADING.sub(lambda m: f"{'#' * len(m[1])} {m[2]}", text)


def _markdown_links(text: str) -> str:
    return _LINK.sub(lambda m: m[1] if _ADDRESS.search(m[2]) else m[0], _IMAGE.sub("", text))


@rewrite(
    examples=(
        (
            "<div><p>第一段，a < b 且 c > d。</p><p>第二段&nbsp;&amp;</p></div>",
            "第一段，a < b 且 c > d。\n第二段\u00a0&",
        ),
        ("详见![图](a.png)和[说明](http://a.cn/b)。", "详见和说明。"),
        ("<p>10<sup>-3</sup> 与 H<sub>2</sub>O</p><ol><li>准备</li></ol>", "10^-3 与 H_2O\n1. 准备"),
        ("[b]水库记[/b]，'''水库'''<ref>《词典》</ref>", "水库记，水库"),
    )
)
def strip_markup(
    texts: pa.Array, *, html_tags: bool = True, markdown: bool = True, bbcode: bool = True, wikitext: bool = True
) -> pa.Array:
    r"""Turn HTML into text with its block structure, take BBCode and wikitext away, keep the text of Markdown links.

    Pages are parsed (lexbor), never cut by a pattern. Only known HTML tags whose inside looks like attributes count
    as tags, so `a < b`, `x<y` and `vector<int>` survive. Scripts, styles, comments, hidden elements and readings of
    ruby are removed; in whole pages also the head, menus, asides and footers. Block elements become lines, a tab
    separates table cells, ordered lists keep their numbers, `pre` keeps its lines, formulas (MathML with TeX, TeX
    scripts, images of formulas) become `$...$`, superscripts `^x`, subscripts `_x`. Entities, and escapes that a script
    left (`\u6c34\u5e93`), are decoded. Markdown images are removed, links keep their text. Code in fences and back
    quotes stays as it is.

    Args:
        texts: String array.
        html_tags: Whether HTML is turned into text.
        markdown: Whether Markdown images and links are reduced.
        bbcode: Whether BBCode of forums is taken away: `[b]`, `[img]...[/img]`, `[quote]`.
        wikitext: Whether wikitext is taken away: `<ref>`, `{{...}}`, `[[File:...]]`, `'''`.
    """
    if html_tags:
        page = pc.match_substring_regex(texts, r"(?i)<(?:html|body|head)\b")
        texts = rewrite_each(texts, lambda s: html_to_text(s) if is_page(s) else s, where=page)

    def stripped(free: pa.Array) -> pa.Array:
        free = rewrite_each(free, _unescaped, where=pc.match_substring_regex(free, _ESCAPED_RE2))
        if wikitext:  # before HTML, which would keep the inside of <ref>
            free = rewrite_each(free, _without_wikitext, where=pc.match_substring_regex(free, _WIKITEXT_RE2))
        if html_tags:
            free = rewrite_each(free, html_to_text, where=pc.match_substring_regex(free, LOOKS_LIKE_TAG))
            free = rewrite_each(free, html.unescape, where=pc.match_substring_regex(free, _ENTITY))
        if bbcode:
            free = rewrite_each(free, _without_bbcode, where=pc.match_substring_regex(free, _BBCODE_RE2))
        if markdown:
            free = rewrite_each(free, _markdown_links, where=pc.match_substring(free, "]("))
        return free

    return outside(texts, stripped, Kind.FENCE)
