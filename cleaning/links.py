"""URLs and mentions."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

from cleaning.declare import rewrite
from cleaning.protected import Kind, outside
from cleaning.texts import replaced, rewrite_each

__all__ = ["remove_mentions", "remove_urls"]

# Only ASCII that may stand in a URL, so the match stops at white space, Chinese text and Chinese
# punctuation; brackets and quotes end it too, and a sentence mark at its end is not part of it.
_URL = (
    r"(?i)\b(?:(?:https?|ftp)://?|www\.)"
    r"[a-z0-9\-._~:/?#@!$&*+,;=%]*[a-z0-9_~/#=&%+$*@\-]"
)


@rewrite(
    examples=(
        ("见http://a.com/x?y=1，谢谢", "见，谢谢"),
        ("see HTTPS://a.com/x. Then more, ok. WWI was bad", "see . Then more, ok. WWI was bad"),
        ("www.例子", "www.例子"),
        ("正文。\n[1]: https://a.cn/x\nvia: https://a.cn/b", "正文。"),
        ("运行 `curl https://a.cn/x` 即可", "运行 `curl https://a.cn/x` 即可"),
    )
)
def remove_urls(texts: pa.Array, *, placeholder: str = "") -> pa.Array:
    """Remove http, https, ftp and www addresses outside code and formulas.

    A URL ends at white space, brackets, quotes, Chinese text or Chinese punctuation. A line that holds nothing but an
    address and its label (`[1]: https://...`, `via: https://...`) goes as a whole.

    Args:
        texts: String array.
        placeholder: Text to put in the place of each address.
    """
    new = placeholder.replace("\\", r"\\")

    def without(free: pa.Array) -> pa.Array:
        free = free if placeholder else rewrite_each(free, _without_lines_of_urls, where=pc.match_substring(free, "/"))
        return replaced(free, _URL, new)

    return outside(texts, without, Kind.CODE | Kind.FORMULA, candidates=pc.match_substring_regex(texts, _URL))


# A reference or a source line: nothing is left of it without the address.
_LINE_OF_URL = re.compile(
    r"(?m)^[ \t]*(?:\[\^?[\w-]{1,20}\]:|[-*+]|(?:via|source|link|url)[ \t]*[:：]|(?:来源|链接|原文|地址|出处)[:：])?"
    r"[ \t]*<?(?:https?|ftp)://[!-~]+[ \t]*(?:\n|\Z)",
    re.IGNORECASE,
)


def _without_lines_of_urls(text: str) -> str:
    without = _LINE_OF_URL.sub("", text)
    return text if without == text else without.rstrip("\n") + text[len(text.rstrip("\n")) :]


# A name stands apart: after white space or a mark, before a space or a mark.
_MENTION = re.compile(
    r"(?<![^\s，。！？；：、,;:!?（(])@[^\s@,;:!?.()（）<>，；：。！？、…《》“”\"'\[\]【】/]{1,30}"
    r"(?:[ \t\u3000]|(?=[\r\n,;:!?，；：。！？、…]))"
)


@rewrite(
    examples=(
        ("hi @张三 你好", "hi 你好"),
        ("@张三你好", "@张三你好"),
        ("写信到 a@b.com 即可", "写信到 a@b.com 即可"),
        ("@property\ndef f(self): pass", "@property\ndef f(self): pass"),
    )
)
def remove_mentions(texts: pa.Array) -> pa.Array:
    """Remove `@name` up to the next space (which is removed too) or punctuation mark (which stays).

    A name that nothing ends stays, since running text may follow it; so do e-mail addresses, decorators and packages
    in code.

    Args:
        texts: String array.
    """
    hit = pc.match_substring(texts, "@")

    def without(free: pa.Array) -> pa.Array:
        return rewrite_each(free, lambda s: _MENTION.sub("", s), where=pc.match_substring(free, "@"))

    return outside(texts, without, Kind.CODE | Kind.FORMULA | Kind.ADDRESS, candidates=hit)
