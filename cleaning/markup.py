"""HTML and Markdown to plain text, by a real parser, with running text such as `a < b` left alone."""

from __future__ import annotations

import html
import re

import pyarrow as pa
import pyarrow.compute as pc
from selectolax.lexbor import LexborHTMLParser

from cleaning.declare import rewrite
from cleaning.texts import rewrite_each

__all__ = ["strip_markup"]

_BLOCKS = [
    "address",
    "article",
    "aside",
    "blockquote",
    "body",
    "br",
    "caption",
    "center",
    "dd",
    "details",
    "dialog",
    "dir",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "li",
    "main",
    "menu",
    "nav",
    "ol",
    "option",
    "p",
    "pre",
    "section",
    "summary",
    "table",
    "tbody",
    "tfoot",
    "thead",
    "title",
    "tr",
    "ul",
]
_INLINE = [
    "a",
    "abbr",
    "acronym",
    "applet",
    "area",
    "audio",
    "b",
    "base",
    "basefont",
    "bdi",
    "bdo",
    "big",
    "button",
    "canvas",
    "cite",
    "code",
    "col",
    "colgroup",
    "data",
    "datalist",
    "del",
    "dfn",
    "em",
    "embed",
    "font",
    "frame",
    "frameset",
    "head",
    "html",
    "i",
    "iframe",
    "img",
    "input",
    "ins",
    "kbd",
    "label",
    "legend",
    "link",
    "map",
    "mark",
    "marquee",
    "meta",
    "meter",
    "nobr",
    "noframes",
    "noscript",
    "object",
    "optgroup",
    "output",
    "param",
    "picture",
    "progress",
    "q",
    "rb",
    "rp",
    "rt",
    "rtc",
    "ruby",
    "s",
    "samp",
    "script",
    "select",
    "slot",
    "small",
    "source",
    "span",
    "strike",
    "strong",
    "style",
    "sub",
    "sup",
    "svg",
    "td",
    "template",
    "textarea",
    "th",
    "time",
    "track",
    "tt",
    "u",
    "var",
    "video",
    "wbr",
    "xmp",
]
_DROPPED = ("script", "style", "noscript", "template", "iframe", "object", "svg", "head > meta", "head > link")
_TAG_NAMES = "|".join(sorted((*_BLOCKS, *_INLINE), key=len, reverse=True))
# A tag is a known name followed by nothing but attributes; `a<b 且 c>d` and `vector<int>` are not.
_ATTRIBUTE = r"""[\s/]+(?:[a-zA-Z_:@#*.\-][\w:@.\-]*(?:\s{0,8}=\s{0,8}(?:"[^"<]*"|'[^'<]*'|[^\s"'<>]+))?|/)"""
_TAG = re.compile(rf"</?(?:{_TAG_NAMES})(?:{_ATTRIBUTE})*[\s/]*>|<!--|<!doctype[^<>]*>|<!\[CDATA\[", re.IGNORECASE)
_LOOKS_LIKE_TAG = rf"(?i)</?(?:{_TAG_NAMES})[\s/>]|<!--|<!doctype|<!\[CDATA\["
_VOID = re.compile(
    r"<(?:!|(?:br|hr|img|meta|link|input|area|base|col|embed|param|source|track|wbr)\b)|.*/>$", re.I | re.S
)
_RAW = re.compile(r"<(?:!|/?(?:script|style|noscript|template|iframe|object|svg|textarea|title)\b)", re.I)
_MAX_DEPTH = 512
_ENTITY = r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});"
_TARGET = (
    r"\([^()\s]{0,2000}(?:\([^()\s]{0,2000}\)[^()\s]{0,2000})?"
    r"(?:\s+\"[^\"\n]{0,1000}\"|\s+'[^'\n]{0,1000}')?\s*\)"
)
_IMAGE = re.compile(r"!\[[^\[\]\n]{0,1000}\]" + _TARGET)
_LINK = re.compile(r"\[([^\[\]\n]{0,1000})\](" + _TARGET + ")")
_ADDRESS = re.compile(r"[/.#:?]|^\(\)$")  # `a[1](2)` is a formula, `[1](#note)` a link
_LINE_ENDS = re.compile(r"(?<![ \t\r\f\v])[ \t\r\f\v]+(?=\n)|(?<=\n)[ \t\r\f\v]+")
_SOFT_BREAK = re.compile(r"(?<![ \t\r\n])[ \t\r]*\n\s*")
_CJK_EDGE = re.compile(r"[\u3000-\u9fff\uff00-\uffef]")
_MARK = "\ue000"  # private use: stands for a block border while text is collected


def _escape_running_text(text: str) -> str:
    """Escape every `<` that does not open or close a real tag, so that the parser keeps it as text.

    Tags that are nested deeper than any page needs become line breaks, because the parser's time grows with the
    square of the depth (browsers stop at 512 too).
    """
    out: list[str] = []
    end = depth = 0
    for match in _TAG.finditer(text):
        out.append(text[end : match.start()].replace("<", "&lt;"))
        tag = match[0]
        end = match.end()
        if tag[1] == "/":
            depth = max(depth - 1, 0)
        elif not _VOID.match(tag):
            depth += 1
        out.append(tag if depth <= _MAX_DEPTH or _RAW.match(tag) else "<br>")
    out.append(text[end:].replace("<", "&lt;"))
    return "".join(out)


def _html_to_text(text: str) -> str:
    if not _TAG.search(text):
        return text
    whole_page = re.search(r"(?i)<(?:html|body|head)\b", text) is not None
    tree = LexborHTMLParser(_escape_running_text(text).replace(_MARK, ""))
    tree.strip_tags(list(_DROPPED[:-2]))
    if whole_page:
        tree.strip_tags(["head"])
    for cell in tree.css("td, th"):
        cell.insert_after("\t")
    for node in tree.css(",".join(_BLOCKS)):
        node.insert_before(_MARK)
        if node.tag not in ("br", "hr"):
            node.insert_after(_MARK)
    root = tree.body or tree.root
    if root is None:
        return ""
    collected = root.text(deep=True, separator="")
    if whole_page:
        # in a page a line break of the source is only white space
        collected = _SOFT_BREAK.sub(_soft_break, collected)
    collected = re.sub(rf"[ \t\n]*{_MARK}[\s{_MARK}]*", _border, collected)
    collected = _LINE_ENDS.sub("", collected)
    return collected.strip("\n\t ")


def _soft_break(match: re.Match[str]) -> str:
    before = match.string[match.start() - 1 : match.start()]
    after = match.string[match.end() : match.end() + 1]
    if _MARK in (before, after):
        return ""
    return "" if _CJK_EDGE.match(before or "x") and _CJK_EDGE.match(after or "x") else " "


def _border(match: re.Match[str]) -> str:
    return "\n"


@rewrite(
    examples=(
        (
            "<div><p>第一段，a < b 且 c > d。</p><p>第二段&nbsp;&amp;</p></div>",
            "第一段，a < b 且 c > d。\n第二段\u00a0&",
        ),
        ("详见![图](a.png)和[说明](http://a.cn/b)。", "详见和说明。"),
    )
)
def strip_markup(texts: pa.Array, *, html_tags: bool = True, markdown: bool = True) -> pa.Array:
    """Turn HTML into text with its block structure, and reduce Markdown images and links to their text.

    Pages are parsed (lexbor), never cut by a pattern. Only known HTML tags whose inside looks like attributes count
    as tags, so `a < b`, `x<y` and `vector<int>` survive. Scripts, styles, comments and, in whole pages, the head are
    removed. Block elements become lines, a tab separates table cells, and entities are decoded. Markdown images are
    removed, links keep their text.

    Args:
        texts: String array.
        html_tags: Whether HTML is turned into text.
        markdown: Whether Markdown images and links are reduced.
    """
    if html_tags:
        hit = pc.match_substring_regex(texts, _LOOKS_LIKE_TAG)
        texts = rewrite_each(texts, _html_to_text, where=hit)
        entity = pc.match_substring_regex(texts, _ENTITY)
        texts = rewrite_each(texts, html.unescape, where=entity)
    if markdown:
        texts = rewrite_each(texts, _markdown_links, where=pc.match_substring(texts, "]("))
    return texts


def _markdown_links(text: str) -> str:
    return _LINK.sub(lambda m: m[1] if _ADDRESS.search(m[2]) else m[0], _IMAGE.sub("", text))
