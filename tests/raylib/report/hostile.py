"""Texts that would become elements or run, if a page took them for markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["ALL", "EVIL", "check", "hostile"]

EVIL = [
    "<img src=x onerror=\"document.title='owned'\">",
    "<script>document.title='owned'</script>",
    "'\"><svg onload=document.title='owned'>",
    "</title></script></style></textarea><script>document.title='owned'</script>",
    "&lt;img src=x onerror=document.title='owned'&gt;",
    "javascript:document.title='owned'",
    "{{ 7 * 7 }}{% raw %}${document.title='owned'}`",
    '" onmouseover="document.title=\'owned\'" style="position:fixed;inset:0" x="',
    "<iframe srcdoc=\"<script>parent.document.title='owned'</script>\"></iframe>",
    "<a href=\"javascript:document.title='owned'\" autofocus onfocus=document.title='owned'>x</a>",
    '<base href=https://evil.example/><meta http-equiv=refresh content="0;url=https://evil.example/">',
    "$$\\x$$",
]
ALL = " ".join(EVIL)


def hostile(value: Any) -> Any:
    """The value with every text in it, keys of mappings included, made hostile."""
    if isinstance(value, str):
        return value + ALL
    if isinstance(value, Mapping):
        return {hostile(key): hostile(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [hostile(item) for item in value]
    return value


def check(browser: Any, elements: int = 0) -> None:
    """Nothing ran, and no text became an element."""
    assert browser.title != "owned"
    foreign = "img, iframe, object, embed, base, a[href^=javascript], [onerror], [onload], [onfocus], [onmouseover]"
    found = browser.execute_script(f"return document.querySelectorAll({foreign!r}).length")
    assert found == elements
    assert browser.execute_script("return document.querySelectorAll('meta[http-equiv=refresh]').length") == 0
    severe = [e["message"] for e in browser.get_log("browser") if e["level"] == "SEVERE"]
    # the page of the test before may still ask a server that is gone
    assert not [m for m in severe if "favicon" not in m and "ERR_CONNECTION_REFUSED" not in m]
