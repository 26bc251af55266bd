"""Personal data: what a label announces, and what a checksum or a shape of its own makes sure of."""

from __future__ import annotations

import functools
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from cleaning.declare import rewrite
from cleaning.personal_numbers import plain_digits
from cleaning.personal_patterns import CANDIDATE, FINDERS, KINDS, LONG_NUMBER, Kind
from cleaning.protected import Kind as Stretch
from cleaning.protected import outside
from cleaning.texts import rewrite_each

__all__ = ["remove_personal_data"]

_PLACEHOLDERS: dict[Kind, str] = {
    "email": "[邮箱]",
    "id_card": "[身份证号]",
    "credit_code": "[信用代码]",
    "bank_card": "[银行卡号]",
    "passport": "[证件号]",
    "plate": "[车牌]",
    "mobile": "[手机]",
    "landline": "[电话]",
    "account": "[账号]",
    "ip": "[IP]",
    "name": "[姓名]",
    "address": "[住址]",
    "location": "[位置]",
}


def _without_personal_data(text: str, mode: str, kinds: tuple[Kind, ...]) -> str:
    shadow = plain_digits(text)  # of the same length, so that positions agree
    found: list[tuple[int, int, Kind]] = []
    taken = bytearray(len(text))
    numbers = LONG_NUMBER.search(shadow) is not None
    for finder in FINDERS:
        if finder.kind not in kinds or (finder.wants_digits and not numbers):
            continue
        if finder.needs and not any(word in shadow for word in finder.needs):
            continue
        for match in finder.pattern.finditer(shadow):
            start, end = match.span(finder.part)
            if end > start and finder.valid(match) and not any(taken[start:end]):
                found.append((start, end, finder.kind))
                taken[start:end] = bytes([1]) * (end - start)
    if not found:
        return text
    out: list[str] = []
    at = 0
    for start, end, kind in sorted(found):
        out += (text[at:start], "" if mode == "remove" else _PLACEHOLDERS[kind])
        at = end
    return "".join([*out, text[at:]])


@rewrite(
    arguments=True,
    examples=(
        ("邮箱 a.b@example.com，电话+86 139-0000-0000。", "邮箱 [邮箱]，电话[手机]。"),
        (
            "订单号13812345678，2023-08-14 12:30，ISBN 978-7-111-40701-0，客服400-690-0000",
            "订单号13812345678，2023-08-14 12:30，ISBN 978-7-111-40701-0，客服400-690-0000",
        ),
        ("加微信号：abc_12345了解", "加微信号：[账号]了解"),
        ("姓名：王小明，电话一三九零零零零零零零零", "姓名：[姓名]，电话[手机]"),
    ),
)
def remove_personal_data(
    texts: pa.Array,
    *,
    mode: Literal["remove", "placeholder"] = "placeholder",
    kinds: tuple[Kind, ...] = KINDS,
) -> pa.Array:
    """Replace personal data by a placeholder such as `[手机]`, so that sentences stay whole, or remove it.

    Found are e-mail addresses, also as `name[at]example.com`; ID cards of 18 or 15 digits; unified social credit codes
    (GB 32100); bank cards (Luhn, or a label such as 卡号); passports and permits; number plates; mobiles and landlines
    of the mainland, Hong Kong and Taiwan; WeChat and QQ ids behind their many names; IP addresses behind a label; names,
    home addresses and positions behind a label. Digits may be full-width, circled or Chinese numerals. A number counts
    as personal by its checksum (ID card: GB 11643, ISO 7064 MOD 11-2), its shape, or a label before it. Orders, amounts,
    private and documentation IP addresses, versions, licence keys, hotlines and ISBN stay, as does code in fences.

    Of chats the reasoning is searched, too, and the arguments of calls of tools, where the name of an argument is the
    label of its value: `{"姓名": "王小明"}` becomes `{"姓名": "[姓名]"}`, and a number that goes becomes a string.

    Args:
        texts: String array.
        mode: Whether personal data is removed or replaced by a placeholder.
        kinds: Kinds of personal data that are looked for.
    """
    scrub = functools.partial(_without_personal_data, mode=mode, kinds=kinds)

    def scrubbed(free: pa.Array) -> pa.Array:
        return rewrite_each(free, scrub, where=pc.match_substring_regex(free, CANDIDATE))

    return outside(
        texts, scrubbed, Stretch.FENCE | Stretch.FORMULA, candidates=pc.match_substring_regex(texts, CANDIDATE)
    )
