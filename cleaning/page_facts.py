"""What a page says about itself: title, author, date, site."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

import orjson
from selectolax.lexbor import LexborHTMLParser

__all__ = ["page_facts"]

# Where pages say it, the surest place first. Each is a selector and the attribute that holds the value; without an
# attribute the text of the element counts.
_PLACES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "site": (
        ("meta[property='og:site_name']", "content"),
        ("meta[name='application-name']", "content"),
        ("meta[name='SiteName']", "content"),
    ),
    "title": (
        ("meta[property='og:title']", "content"),
        ("meta[name='twitter:title']", "content"),
        ("[itemprop='headline']", ""),
        ("h1", ""),
        ("title", ""),
    ),
    "author": (
        ("meta[name='author']", "content"),
        ("meta[property='article:author']", "content"),
        ("meta[property='og:article:author']", "content"),
        ("[itemprop='author'] [itemprop='name']", ""),
        ("[itemprop='author']", ""),
        ("a[rel='author']", ""),
    ),
    "date": (
        ("meta[property='article:published_time']", "content"),
        ("meta[property='og:release_date']", "content"),
        ("meta[name='publishdate']", "content"),
        ("meta[name='pubdate']", "content"),
        ("meta[name='PubDate']", "content"),
        ("meta[itemprop='datePublished']", "content"),
        ("time[datetime]", "datetime"),
    ),
}
_LINKED_DATA = {"title": "headline", "author": "author", "date": "datePublished", "site": "publisher"}
_DATE = re.compile(
    r"(?<!\d)((?:19|20)\d\d)\s?[-年/.]\s?(1[0-2]|0?[1-9])\s?[-月/.]\s?(3[01]|[12]\d|0?[1-9])(?!\d)"
    r"(?:[日号T\s]{0,3}([01]?\d|2[0-3])[:：]([0-5]\d))?"
)
_AUTHOR = re.compile(r"(?:作者|文|撰文|记者|本报记者)\s?[:：/]\s?([^\s|，。；:：<>/()（）]{2,20})")
_SUFFIX = re.compile(r"\s*(?:[_|｜]|\s[-–—]\s|[-–—](?=[^-–—]{2,16}$))\s*([^_|｜–—-]{2,30})\s*$")
_LONGEST = {"title": 300, "author": 60, "date": 60, "site": 60}
_HEAD = 3000  # characters of the page's text in which a byline stands


def page_facts(page: str) -> dict[str, str]:
    """Title, author, date and site of a page, as far as it tells them.

    Meta elements, schema.org and linked data (JSON-LD) are asked first, then headings and the byline.

    Args:
        page: HTML of the page.

    Returns:
        Values by `title`, `author`, `date` (ISO 8601: `2031-05-06` or `2031-05-06T09:30`) and `site`; what the page
        does not tell is left out.
    """
    tree = LexborHTMLParser(page)
    linked = dict(_linked_data(tree))
    found: dict[str, str] = {}
    for fact, places in _PLACES.items():
        values = _values(tree, places, _LONGEST[fact])
        if fact == "title":  # some sites give all their pages one title, which is theirs
            values = (value for value in values if value != found.get("site"))
        value = linked.get(fact) or next(values, "")
        if value:
            found[fact] = value
    found |= _byline(tree, _date(found.pop("date", "")), found.get("author", ""))
    return _without_suffix(found, tree)


def _byline(tree: LexborHTMLParser, date: str, author: str) -> dict[str, str]:
    """Date and author, from the head of the page's text where its elements do not tell them."""
    if tree.body is not None and not (date and author):
        head = tree.body.text(separator=" ")[:_HEAD]
        match = _AUTHOR.search(head)
        date, author = date or _date(head), author or ("" if match is None else match[1])
    return {fact: value for fact, value in (("date", date), ("author", author)) if value}


def _values(tree: LexborHTMLParser, places: Iterable[tuple[str, str]], longest: int) -> Iterator[str]:
    for selector, attribute in places:
        node = tree.css_first(selector)
        if node is None:
            continue
        value = node.attributes.get(attribute) if attribute else node.text(deep=True)
        value = " ".join((value or "").split())
        if value and len(value) <= longest:
            yield value


def _linked_data(tree: LexborHTMLParser) -> Iterator[tuple[str, str]]:
    """Facts of an article in JSON-LD."""
    for node in tree.css("script[type='application/ld+json']"):
        try:
            data = orjson.loads(node.text(deep=True) or "")
        except orjson.JSONDecodeError:
            continue
        entries = data if isinstance(data, list) else data.get("@graph", [data]) if isinstance(data, dict) else []
        for entry in entries if isinstance(entries, list) else []:
            if isinstance(entry, dict) and "headline" in entry:
                yield from ((fact, value) for fact, key in _LINKED_DATA.items() if (value := _name(entry.get(key))))
                return


def _name(value: object) -> str:
    """A name in JSON-LD: a string, an object with a name, or a list of them."""
    if isinstance(value, list):
        return "、".join(filter(None, map(_name, value)))
    if isinstance(value, dict):
        value = value.get("name")
    return " ".join(value.split()) if isinstance(value, str) else ""


def _date(text: str) -> str:
    match = _DATE.search(text)
    if match is None:
        return ""
    year, month, day, hour, minute = match.groups()
    date = f"{year}-{int(month):02d}-{int(day):02d}"
    return date if hour is None else f"{date}T{int(hour):02d}:{minute}"


def _without_suffix(found: dict[str, str], tree: LexborHTMLParser) -> dict[str, str]:
    """The facts with a title that does not end with the name of the site, which it may tell."""
    title = found.get("title", "")
    headings = [" ".join(node.text(deep=True).split()) for node in tree.css("h1")]
    if title in headings:
        return found
    match = _SUFFIX.search(title)
    if match is not None and (match[1] == found.get("site") or title[: match.start()] in headings):
        found["title"] = title[: match.start()]
        found.setdefault("site", match[1])
    return found
