"""HTML to text: a real parser, the block structure as lines, and what a reader sees kept as Markdown."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from selectolax.lexbor import LexborHTMLParser, LexborNode

__all__ = ["LOOKS_LIKE_TAG", "Converter", "html_to_text", "is_page"]

_BLOCKS = [
    *("address", "article", "aside", "blockquote", "body", "br", "caption", "center", "dd", "details"),
    *("dialog", "dir", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2"),
    *("h3", "h4", "h5", "h6", "header", "hr", "li", "main", "menu", "nav", "ol", "option", "p", "pre"),
    *("section", "summary", "table", "tbody", "tfoot", "thead", "title", "tr", "ul"),
]
_INLINE = [
    *("a", "abbr", "acronym", "applet", "area", "audio", "b", "base", "basefont", "bdi", "bdo", "big"),
    *("button", "canvas", "cite", "code", "col", "colgroup", "data", "datalist", "del", "dfn", "em", "embed"),
    *("font", "frame", "frameset", "head", "html", "i", "iframe", "img", "input", "ins", "kbd", "label"),
    *("legend", "link", "map", "mark", "marquee", "meta", "meter", "nobr", "noframes", "noscript", "object"),
    *("optgroup", "output", "param", "picture", "progress", "q", "rb", "rp", "rt", "rtc", "ruby", "s", "samp"),
    *("script", "select", "slot", "small", "source", "span", "strike", "strong", "style", "sub", "sup", "svg"),
    *("td", "template", "textarea", "th", "time", "track", "tt", "u", "var", "video", "wbr", "xmp"),
]
_DROPPED = ("style", "noscript", "template", "iframe", "object", "svg", "rt", "rp", "select", "button")
_CHROME = ("nav", "aside", "footer")
_NAMES = sorted((*_BLOCKS, *_INLINE, "math", "annotation", "annotation-xml", "semantics"), key=len, reverse=True)
_TAG_NAMES = "|".join(_NAMES)
# A tag is a known name followed by nothing but attributes; `a<b 且 c>d` and `vector<int>` are not.
_ATTRIBUTE = r"""[\s/]+(?:[a-zA-Z_:@#*.\-][\w:@.\-]*(?:\s{0,8}=\s{0,8}(?:"[^"<]*"|'[^'<]*'|[^\s"'<>]+))?|/)"""
_TAG = re.compile(
    rf"</?(?:{_TAG_NAMES})(?:{_ATTRIBUTE})*[\s/]*>|<!--|<!doctype[^<>]*>|<!\[CDATA\["
    rf"|<(?:{_TAG_NAMES})\s[^<>=]{{0,100}}=[\"'][^<>]{{0,2000}}>",  # quotes inside an attribute
    re.IGNORECASE,
)
LOOKS_LIKE_TAG = rf"(?i)</?(?:{_TAG_NAMES})[\s/>]|<!--|<!doctype|<!\[CDATA\["
_VOID = re.compile(
    r"<(?:!|(?:br|hr|img|meta|link|input|area|base|col|embed|param|source|track|wbr)\b)|.*/>$", re.I | re.S
)
_RAW = re.compile(r"<(?:!|/?(?:script|style|noscript|template|iframe|object|svg|textarea|title)\b)", re.I)
_MAX_DEPTH = 512
_LINE_ENDS = re.compile(r"(?<![ \t\r\f\v])[ \t\r\f\v]+(?=\n)|(?<=\n)[ \t\r\f\v]+")
_SOFT_BREAK = re.compile(r"(?<![ \t\r\n])[ \t\r]*\n\s*")
_CJK_EDGE = re.compile(r"[\u3000-\u9fff\uff00-\uffef]")
_BORDER = "\ue000"  # private use: stands for a block border while text is collected
_HELD = "\ue001"  # stands on both sides of the number of a piece whose white space counts
_PAGE = re.compile(r"(?i)<(?:html|body|head)\b")
_HIDDEN = "[hidden], [style*='display:none'], [style*='display: none']"
_CITATION = re.compile(r"\[?[\d,\s–-]{1,12}\]|\[(?:注|註|来源请求|[a-z])?\s?\d{0,3}\]")
_SCRIPT_LEVEL = re.compile(r"[-+−–]?[\w\u0370-\u03ff]{1,4}[-+−]?")
_DISPLAY_STYLE = re.compile(r"^\{\\displaystyle\s?(.*)\}$", re.S)


def is_page(text: str) -> bool:
    """Whether a text is a whole page: it has a tag that only pages have."""
    return _PAGE.search(text) is not None


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


@dataclass
class Converter:
    """Turns a parsed tree into text.

    Attributes:
        page: Whether the tree is of a whole page, in which a line break of the source is only white space.
        markdown: Whether headings, bullets and code are marked as in Markdown.
    """

    page: bool
    markdown: bool = False
    _pieces: list[str] = field(default_factory=list)

    def text(self, root: LexborNode) -> str:
        """Text of a tree, which is changed.

        Args:
            root: The node whose text is wanted.
        """
        self._formulas(root)
        self._drop(root)
        self._code(root)
        self._levels(root)
        self._lists(root)
        if self.markdown:
            self._headings(root)
        for cell in root.css("td, th"):
            cell.insert_after("\t")
        for node in root.css(",".join(_BLOCKS)):
            node.insert_before(_BORDER)
            if node.tag not in ("br", "hr"):
                node.insert_after(_BORDER)
        collected = root.text(deep=True, separator="")
        if self.page:
            collected = _SOFT_BREAK.sub(_soft_break, collected)
        collected = re.sub(rf"[ \t\n]*{_BORDER}[\s{_BORDER}]*", "\n", collected)
        collected = _LINE_ENDS.sub("", collected)
        collected = re.sub(rf"{_HELD}(\d+){_HELD}", lambda m: self._pieces[int(m[1])], collected)
        return collected.strip("\n\t ")

    def _hold(self, node: LexborNode, text: str) -> None:
        node.replace_with(f"{_HELD}{len(self._pieces)}{_HELD}")
        self._pieces.append(text)

    def _formulas(self, root: LexborNode) -> None:
        for node in root.css("script[type^='math/tex']"):
            mark = "$$" if "display" in (node.attributes.get("type") or "") else "$"
            self._hold(node, f"{mark}{_all_text(node).strip()}{mark}")
        for node in root.css("annotation[encoding='application/x-tex']"):
            outer = node
            while outer.parent is not None and outer.parent.tag in ("semantics", "math"):
                outer = outer.parent
            self._hold(outer, f"${_tex(_all_text(node))}$")
        for node in root.css("img[alt]"):
            alt = node.attributes.get("alt") or ""
            if "\\" in alt and alt.isascii():
                self._hold(node, f"${_tex(alt)}$")

    def _drop(self, root: LexborNode) -> None:
        for node in root.css(",".join(("script", *_DROPPED))):
            node.decompose()
        for node in root.css(_HIDDEN):
            if node.tag not in ("html", "body"):
                node.decompose()
        if self.page:
            for node in root.css(",".join(("head", *_CHROME))):
                node.decompose()

    def _code(self, root: LexborNode) -> None:
        for node in root.css("pre"):
            text = _all_text(node).replace("\r", "").strip("\n")
            if not text.strip():
                continue
            code = node.css_first("code")
            names = f"{node.attributes.get('class') or ''} {(code.attributes.get('class') or '') if code else ''}"
            language = re.search(r"(?:lang(?:uage)?|brush|highlight-source)[-:\s]+([\w+#-]+)", names)
            fence = "```" if self.markdown or code is not None or language else ""
            opened, closed = (f"{fence}{language[1] if language else ''}\n", f"\n{fence}") if fence else ("", "")
            node.insert_before(_BORDER)
            node.insert_after(_BORDER)
            self._hold(node, f"{opened}{text}{closed}")
        if self.markdown:
            for node in root.css("code, kbd, samp"):
                text = _all_text(node)
                if text.strip() and "`" not in text and "\n" not in text:
                    self._hold(node, f"`{text}`")

    @staticmethod
    def _levels(root: LexborNode) -> None:
        for tag, mark in (("sup", "^"), ("sub", "_")):
            for node in root.css(tag):
                text = _all_text(node).strip()
                if not text or _CITATION.fullmatch(text):
                    node.decompose()
                else:
                    node.replace_with(f"{mark}{text}" if _SCRIPT_LEVEL.fullmatch(text) else f"{mark}{{{text}}}")

    def _lists(self, root: LexborNode) -> None:
        for outer in root.css("ol"):
            number = _integer(outer.attributes.get("start"), 1)
            for item in outer.iter():
                if item.tag == "li":
                    number = _integer(item.attributes.get("value"), number)
                    _prefix(item, f"{number}. ")
                    number += 1
        if self.markdown:
            for item in root.css("ul > li"):
                _prefix(item, "- ")

    @staticmethod
    def _headings(root: LexborNode) -> None:
        for level in range(1, 7):
            for node in root.css(f"h{level}"):
                if _all_text(node).strip():
                    _prefix(node, "#" * level + " ")


def _all_text(node: LexborNode) -> str:
    return node.text(deep=True) or ""


def _tex(text: str) -> str:
    return _DISPLAY_STYLE.sub(r"\1", text.strip()).strip()


def _integer(text: str | None, default: int) -> int:
    return int(text) if text and text.isdigit() and len(text) < 7 else default


def _prefix(node: LexborNode, text: str) -> None:
    first = node.child
    if first is not None:
        first.insert_before(text)


def html_to_text(text: str) -> str:
    """Text of HTML; a text without any tag stays as it is.

    Args:
        text: A page, a fragment, or running text with tags in it.
    """
    if not _TAG.search(text):
        return text
    tree = LexborHTMLParser(_escape_running_text(text).replace(_BORDER, "").replace(_HELD, ""))
    root = tree.body or tree.root
    return "" if root is None else Converter(is_page(text)).text(root)


def _soft_break(match: re.Match[str]) -> str:
    before = match.string[match.start() - 1 : match.start()]
    after = match.string[match.end() : match.end() + 1]
    if _BORDER in (before, after):
        return ""
    return "" if _CJK_EDGE.match(before or "x") and _CJK_EDGE.match(after or "x") else " "
