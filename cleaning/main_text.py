"""The main text of a page: the element that holds most prose and little else, without what stands around it.

Every text node counts for all elements around it: as prose if it reads like a sentence outside a link, and as text in
any case. The element with the highest product of its prose and the square of its share of prose is the main text; that
is the idea of text density (Sun, Song and Liao 2011, https://doi.org/10.1145/2009916.2009952) with marks of Chinese
sentences in place of tags.
"""

from __future__ import annotations

import re
from collections import defaultdict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from selectolax.lexbor import LexborHTMLParser, LexborNode

from cleaning.declare import rewrite
from cleaning.html_text import Converter
from cleaning.page_facts import page_facts
from cleaning.texts import rewrite_each

__all__ = ["extract_main", "main_element", "main_text"]

_SENTENCE = re.compile(r"[，。！？；]|[,.!?;](?=\s|$|[\u3400-\u9fff])")
_LEGAL = re.compile(r"ICP|版权所有|举报|客服电话|[Cc]opyright|©|未经授权|许可证|免责声明|扫一扫|客户端|二维码")
_NEVER = (
    "script:not([type^='math/']), style, noscript, template, iframe, object, svg, select, button, form, nav, footer, "
    "aside, textarea, input, dialog"
)
_NOT_PROSE = frozenset(
    ("a", "script", "style", "option", "button", "label", "title", "h1", "h2", "h3", "h4", "h5", "h6")
)
_AROUND = re.compile(
    r"(?:^|[\s_-])(?:share|sharing|related|relative|recommend\w*|comments?|copyright|statement|disclaimer|qr-?code|"
    r"erweima|tags?|pagination|pager|"
    r"page-?nav|toolbar|breadcrumbs?|crumb|report|next[-_]?post|prev[-_]?next|advert\w*|ad|ads|gg|guanggao|hot|rank\w*|download|subscribe|follow|profile|"
    r"footer|foot|header|sidebar|side|aside|menu|nav|navbar|login|vote|like|praise|reward|editor|ep-?editor|source|post[-_]meta|meta|infos?|author[-_]?info|"
    r"wechat|weixin|app[-_]?down\w*|video[-_]?list|pic[-_]?list|bdshare|jiathis|social|function|tool|tip|tips|special[-_]?tag\w*|end[-_]?info)"
    r"(?:$|[\s_-])",
    re.IGNORECASE,
)
_WEAK = 0.6  # what a character without a sentence around it counts
_POWER = 2.0
_PARAGRAPHS = ("p", "span", "font", "strong", "b", "em", "blockquote", "li")
_LEAST = 40  # characters of prose below which a page has no main text


def _prose_of(tag: str | None, text: str) -> int:
    if tag in _NOT_PROSE:
        return 0
    if len(text) < 100 and _LEGAL.search(text):
        return 0
    return len(text) if len(text) >= 40 or _SENTENCE.search(text) else int(_WEAK * len(text))


def _weigh(root: LexborNode) -> tuple[dict[int, LexborNode], dict[int, int], dict[int, int]]:
    """Elements, and for each of them its characters of prose and of text."""
    nodes: dict[int, LexborNode] = {}
    prose: dict[int, int] = defaultdict(int)
    text: dict[int, int] = defaultdict(int)
    for node in root.traverse(include_text=True):
        if node.tag != "-text":
            continue
        said = (node.text_content or "").strip()
        parent = node.parent
        if not said or parent is None:
            continue
        read = _prose_of(parent.tag, said)
        above: LexborNode | None = parent
        linked = False
        while above is not None and above.tag not in ("body", "html"):
            linked = linked or above.tag == "a"
            key = above.mem_id
            nodes.setdefault(key, above)
            text[key] += len(said)
            if read and not linked:
                prose[key] += read
            above = above.parent
    return nodes, prose, text


def main_element(tree: LexborHTMLParser) -> LexborNode | None:
    """The element of a parsed page that holds its main text.

    Args:
        tree: The page; elements that never hold main text are removed from it.

    Returns:
        The element; None if the page has no prose.
    """
    root = tree.body
    if root is None:
        return None
    for node in root.css(_NEVER):
        if node.tag != "form" or not node.css_first("p ~ p ~ p"):  # some sites put the whole page into a form
            node.decompose()
    nodes, prose, text = _weigh(root)
    if not prose:
        return None
    score = {key: prose[key] * (prose[key] / text[key]) ** _POWER for key in prose}
    best = max(score, key=score.__getitem__)
    element = nodes[best]
    while element.tag in _PARAGRAPHS and element.parent is not None and element.parent.mem_id in score:
        element = element.parent  # an article of one paragraph has a heading and captions beside it
    return element if prose[best] >= _LEAST else None


def _strip_around(element: LexborNode) -> None:
    """Remove from the main element what is named as something else, and lists of links."""
    whole = len(element.text(deep=True) or "")
    for node in element.css("div, section, ul, ol, dl, p, table, span, h2, h3, h4"):
        if node.mem_id == element.mem_id or node.parent is None:
            continue
        names = f"{node.attributes.get('class') or ''} {node.attributes.get('id') or ''}"
        size = len(node.text(deep=True) or "")
        if size * 3 > whole:
            continue
        if names.strip() and _AROUND.search(names):
            node.decompose()
        elif node.tag in ("div", "ul", "ol", "dl", "p", "section") and size:
            linked = sum(len(a.text(deep=True) or "") for a in node.css("a"))
            if linked * 10 > size * 7 and size < 400:
                node.decompose()


def main_text(page: str) -> str:
    """The main text of a page, as Markdown.

    Args:
        page: HTML of the page.

    Returns:
        The text; empty if the page has no prose.
    """
    tree = LexborHTMLParser(page)
    element = main_element(tree)
    if element is None:
        return ""
    _strip_around(element)
    return Converter(page=True, markdown=True).text(element)


_PAGE = r"(?i)<(?:html|body|head)\b"


_ARTICLE = (
    "水库修好以后，下游的农田不再担心春旱。负责灌溉的老周每天骑车沿渠走一遍，"
    "看闸门是否漏水，再把各村的用水量记在本子上。"
)


def _facts(texts: pa.Array) -> dict[int, dict[str, str]]:
    """What the pages among the texts say about themselves."""
    rows = np.flatnonzero(pc.fill_null(pc.match_substring_regex(texts, _PAGE), False).to_numpy(zero_copy_only=False))
    return {row: found for row in rows.tolist() if (found := page_facts(texts[row].as_py()))}


@rewrite(
    cuts=True,
    tells=_facts,
    examples=(
        (
            "<html><body><ul class='nav'><li><a href='/'>首页</a></li></ul><div class='content'><h2>春旱</h2>"
            f"<p>{_ARTICLE}</p></div><div class='footer'>版权所有</div></body></html>",
            f"## 春旱\n{_ARTICLE}",
        ),
        ("没有标签的文字。", "没有标签的文字。"),
    ),
)
def extract_main(texts: pa.Array) -> pa.Array:
    """Take the main text out of whole pages, as Markdown: headings, lists, tables, code, formulas, captions stay.

    Menus, lists of other articles, comments, notices and footers go. On 51 news pages of 30 sites with hand-marked
    containers precision and recall of character 5-grams are 0.96 and 0.98 (readability-lxml 0.92 and 0.93, resiliparse
    0.69 and 0.93). A text without a tag that only pages have stays as it is; so does a page without any prose, which
    `strip_markup` turns into text. What the page says about itself goes into `meta`, where the record has no such field
    yet: `title`, `author`, `date` (ISO 8601) and `site`.

    Args:
        texts: String array.
    """
    page = pc.match_substring_regex(texts, _PAGE)
    return rewrite_each(texts, lambda s: main_text(s) or s, where=page)
