"""URLs and mentions."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

from cleaning.declare import rewrite
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
    )
)
def remove_urls(texts: pa.Array, *, placeholder: str = "") -> pa.Array:
    """Remove http, https, ftp and www addresses.

    A URL ends at white space, brackets, quotes, Chinese text or Chinese punctuation.

    Args:
        texts: String array.
        placeholder: Text to put in the place of each address.
    """
    return replaced(texts, _URL, placeholder.replace("\\", r"\\"))


_MENTION = re.compile(
    r"(?<![A-Za-z0-9._%+\-@])@[^\s@,;:!?.()（）<>，；：。！？、…《》“”\"'\[\]【】]{1,30}"
    r"(?:[ \t\u3000]|(?=[\r\n,;:!?.，；：。！？、…]))"
)


@rewrite(
    examples=(
        ("hi @张三 你好", "hi 你好"),
        ("@张三你好", "@张三你好"),
        ("写信到 a@b.com 即可", "写信到 a@b.com 即可"),
    )
)
def remove_mentions(texts: pa.Array) -> pa.Array:
    """Remove `@name` up to the next space (which is removed too) or punctuation mark (which stays).

    A name that nothing ends stays, since running text may follow it; so do e-mail addresses.

    Args:
        texts: String array.
    """
    return rewrite_each(texts, lambda s: _MENTION.sub("", s), where=pc.match_substring(texts, "@"))
