"""Rejects by pattern: lotteries and advertising contacts."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

from cleaning.declare import reject
from raylib.stage import Threshold

__all__ = ["advertising", "lottery"]

_LOTTERY = (
    r"(?:获奖|有奖|抽奖|中奖)[^\n。！？]{0,40}(?:活动|名单|公告)"
    r"|(?:转发|关注|评论)[^\n。！？]{0,20}抽(?:奖|取|出)[^\n。！？]{0,20}(?:名|位|人|份)"
)


@reject("lottery", examples=(("本次有奖问答活动获奖名单公布", "有奖"), ("他获奖之后继续工作。", "")))
def lottery(texts: pa.Array) -> pa.Array:
    """Reject lottery and prize pages: (获奖|有奖|抽奖)…(活动|名单), "forward and win".

    Args:
        texts: String array.
    """
    return _first_match(texts, _LOTTERY)


def _first_match(texts: pa.Array, pattern: str) -> pa.Array:
    """Evidence against texts that match a pattern: the first match and its offset."""
    hit = pc.match_substring_regex(texts, pattern)
    compiled = re.compile(pattern)
    out = []
    for text, found in zip(texts.to_pylist(), hit.to_pylist(), strict=True):
        match = compiled.search(text) if found else None
        out.append(f"{match[0]!r} at {match.start()}" if match else None)
    return pa.array(out, pa.large_string())


_PHONE = re.compile(r"(?<!\d)(?:1[3-9]\d[ \-]?\d{4}[ \-]?\d{4}|400[ \-]?\d{3}[ \-]?\d{4}|0\d{2,3}[ \-]\d{7,8})(?!\d)")
_PRICE = re.compile(
    r"(?:[¥￥]\s?\d[\d,.]*|\d[\d,.]*\s?元(?:/|起|一|每)?|(?:特价|原价|现价|优惠价|包邮|折扣|仅需|低至))"
)
_CONTACT = re.compile(
    r"(?i:微信|vx|qq|加我|咨询热线|联系电话|客服|热线|订购|下单|加盟|代理|招商|扫码|二维码|私信|免费领取|点击购买)"
)
_ADVERTISING = r"1[3-9]\d|400|0\d{2,3}[ \-]|[¥￥]|元|特价|微信|(?i:qq|vx)|热线|客服|加盟|扫码"


@reject(
    "advertising",
    unit="signs for 100 characters",
    examples=(
        ("专业办理加盟代理，特价99元起，联系电话 400-000-0000，微信同号，扫码下单", "signs"),
        ("早饭花了5元，他给朋友打了个电话，说下午一起去图书馆看书，晚上再回家吃饭。", ""),
    ),
    thresholds=(Threshold("max_density", "above", 0, 100),),
)
def advertising(texts: pa.Array, *, max_density: float = 5.0, min_signs: int = 4) -> pa.Array:
    """Reject texts that are dense with advertising: phone numbers, prices and contact words together.

    A text is rejected if it has signs of at least two of the three kinds, enough signs, and enough of them for its
    length.

    Args:
        texts: String array.
        max_density: Largest number of signs for 100 characters.
        min_signs: Number of signs below which a text stays.
    """
    out: list[str | None] = [None] * len(texts)
    hit = pc.match_substring_regex(texts, _ADVERTISING).to_pylist()
    for row, found in enumerate(hit):
        if not found:
            continue
        text = texts[row].as_py()
        counts = [len(p.findall(text)) for p in (_PHONE, _PRICE, _CONTACT)]
        total = sum(counts)
        density = 100 * total / max(len(text), 1)
        if total >= min_signs and sum(c > 0 for c in counts) >= 2 and density > max_density:
            kinds = f"{counts[0]} phones, {counts[1]} prices, {counts[2]} contacts"
            out[row] = f"{total} signs ({kinds}), {density:.1f} for 100 characters"
    return pa.array(out, pa.large_string())
