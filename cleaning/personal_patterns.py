"""Shapes and labels of personal data."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from cleaning.personal_numbers import digits, is_bank_card, is_credit_code, is_id_card, valid_date

__all__ = [
    "CANDIDATE",
    "FINDERS",
    "KINDS",
    "LONG_NUMBER",
    "Finder",
    "Kind",
]

Kind = Literal[
    "email",
    "id_card",
    "credit_code",
    "bank_card",
    "passport",
    "plate",
    "mobile",
    "landline",
    "account",
    "ip",
    "name",
    "address",
    "location",
]

LONG_NUMBER = re.compile(r"[0-9](?:[ .)）-]{0,2}[0-9]){6}")
"""Seven digits, with gaps of two signs at most: what most kinds of numbers have."""


@dataclass(frozen=True)
class Finder:
    """How to find one kind of personal data.

    Attributes:
        kind: The kind.
        pattern: Pattern over the text with plain digits.
        part: Group of the pattern that is the personal data; 0 for the whole match.
        valid: Which matches to believe.
        needs: Strings of which a text has at least one where the pattern matches; none for no such strings.
    """

    kind: Kind
    pattern: re.Pattern[str]
    part: int | str = 0
    valid: Callable[[re.Match[str]], bool] = lambda match: True
    needs: tuple[str, ...] = ()

    @property
    def wants_digits(self) -> bool:
        """Whether every match holds seven digits or more, with single gaps at most."""
        masked = "*xX" in self.pattern.pattern
        return not masked and self.kind in {"id_card", "credit_code", "bank_card", "mobile", "landline"}


# What a number counts or names when it is nobody's telephone.
_COUNTS = re.compile(
    r"(?:[单编票款]号|订单|运单|快递|序列号?|流水号?|编码|代码|批号|型号|案号|字第|时间戳|质数|素数|收入|产量|产值|人口|面积|总额|金额|市值|市值|资产|"
    r"利润|GDP|共计|约为?|达到?|超过|近|ISBN|ISSN|isbn|专利号?|CAS|书号|期刊号|文号|股票|基金|No\.?|ID|id|=|≈|[×÷+*^]|(?<!\d{11})/)[^\d，。；]{0,4}$"
)
_UNIT = re.compile(
    r"\s?(?:[元吨美欧日英人平公亩个万亿件次株台辆米克斤户家头只字条号立度瓦千百%％‰×÷=+*^]|kWh|km|kg|MB|GB|bit|byte)"
)
_TELEPHONE = (
    r"(?:电话|手机|号码|联系(?:方式|人)?|致电|拨打|热线|[tT]el|TEL|[pP]hone|[mM]obile|固话|座机|传真|[fF]ax|"
    r"同号|微信|咨询|客服|来电)"
)
_LABELLED = re.compile(rf"{_TELEPHONE}(?:号码?|同号)?[^\d。；]{{0,8}}$")


def _is_called(match: re.Match[str]) -> bool:
    """Whether a number of eleven digits is a telephone: a label says so, or nothing says that it counts something."""
    before = match.string[max(0, match.start() - 16) : match.start()]
    if _LABELLED.search(before) and not _COUNTS.search(before):
        return True
    return _COUNTS.search(before) is None and _UNIT.match(match.string, match.end()) is None


def _is_card(match: re.Match[str]) -> bool:
    number = digits(match["number"])
    if len(number) == 15:
        return match["label"] is not None and valid_date("19" + number[6:8], number[8:10], number[10:12])
    if len(number) != 18:
        return False
    return valid_date(number[6:10], number[10:12], number[12:14]) if match["label"] else is_id_card(number)


def _is_bank(match: re.Match[str]) -> bool:
    number = digits(match["number"])
    if match["label"]:
        return 12 <= len(number) <= 23 and len(set(number)) > 2
    return 15 <= len(number) <= 19 and is_bank_card(number)


_KNOWN_SERVERS = {
    "114.114.114.114",
    "8.8.8.8",
    "8.8.4.4",
    "1.1.1.1",
    "223.5.5.5",
    "223.6.6.6",
    "119.29.29.29",
    "180.76.76.76",
}
_NOBODYS = re.compile(
    r"(?:0|10|127|22[4-9]|2[3-5]\d)\.|169\.254\.|172\.(?:1[6-9]|2\d|3[01])\.|192\.(?:168|0\.[02])\.|198\.(?:51\.100|1[89])\.|203\.0\.113\."
)


def _is_somebodys(match: re.Match[str]) -> bool:
    address = match["ip"]
    parts = [int(p) for p in address.split(".")]
    return max(parts) <= 255 and address not in _KNOWN_SERVERS and _NOBODYS.match(address) is None


_NOT_IN_NUMBER = r"(?<![0-9A-Za-z.,_/=+])(?<![0-9]-)"
_NUMBER_ENDS = r"(?![0-9A-Za-z]|[.,_-][0-9])"
_HAN = "\u4e00-\u9fff"
_PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
_SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩邓冯曹彭曾肖田董潘袁蔡蒋余于杜叶程魏苏吕丁任卢姚沈钟姜崔谭陆范汪廖石金韦贾夏付方邹熊白孟秦邱侯江尹薛"
    "闫段雷龙黎史陶贺毛郝顾龚邵万覃武钱戴严莫孔向常汤康易乔赖文欧"
)
_ACCOUNT = (
    r"(?P<account>[A-Za-z][-_A-Za-z0-9]{5,19}|[1-9]\d{4,11})(?![0-9A-Za-z.]|\s?(?:[万亿年月]|正式|[Vv]ersion|版))"
)
_WECHAT = (
    r"(?:[加十＋+]?\s?(?:(?<!企业)[微薇威徽][信❤]"
    r"|(?<![A-Za-z0-9_/=&.%-])(?:[vV][xX]|[wW][xX]|[wW]e[cC]hat|weixin|WEIXIN)(?![A-Za-z])|[vV]信)"
    r"|(?<![A-Za-z0-9.])[加十＋+]\s?[vV薇微])"
)

# Long before short: an ID card holds what looks like a bank card, a bank card what looks like a mobile.
FINDERS = (
    Finder(
        "email",
        re.compile(
            r"(?<![A-Za-z0-9._%+\-/])(?!git@)[A-Za-z0-9_%+\-](?:[A-Za-z0-9._%+\-]{0,62}[A-Za-z0-9_%+\-])?"
            r"(?:\s?[\[(（【]\s?(?:at|AT|a|艾特)\s?[\])）】]\s?|@)(?:[A-Za-z0-9](?:[A-Za-z0-9\-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,24}(?![A-Za-z0-9]|:[A-Za-z])"
        ),
        needs=("@", "at", "AT", "艾特", "[a", "(a", "（a", "【a", "[ a", "( a", "（ a", "【 a"),
    ),
    Finder(
        "email",
        re.compile(
            r"(?:邮箱|邮件|[eE]-?[mM]ail|信箱)(?:地址)?\s?[:：是]?\s?(?P<mail>[\w.+-]{1,40}\s?[@#]\s?[\w-]{1,40}(?:\.[\w-]{2,20})+)"
        ),
        "mail",
        needs=("邮箱", "邮件", "信箱", "ail", "AIL"),
    ),
    Finder(
        "email",
        re.compile(
            r"[A-Za-z0-9._-]{2,40}#[A-Za-z0-9-]{1,40}(?:\.[A-Za-z]{2,10})+(?=[^\n]{0,12}(?:换|改|替)[成为]?\s?@)"
        ),
        needs=("#",),
    ),
    Finder(
        "id_card",
        re.compile(
            r"(?P<label>(?:身份证|证件|公民身份)(?:号码?|件)?[^\d\n]{0,6})?"
            rf"(?P<number>{_NOT_IN_NUMBER}[1-9]\d{{5}}[ -]?"
            r"(?:(?:18|19|20)\d{2}[01]\d[0-3]\d[ -]?\d{3}[0-9Xx]|\d{2}[01]\d[0-3]\d\d{3}))(?![0-9A-Za-z])"
        ),
        "number",
        _is_card,
    ),
    Finder(
        "id_card",
        re.compile(r"(?:身份证|证件|公民身份)(?:号码?|件)?[^\d\n]{0,6}(?P<number>\d{4,14}[*xX×＊]{2,10}[0-9Xx]{1,6})"),
        "number",
        needs=("身份证", "证件", "公民身份"),
    ),
    Finder(
        "credit_code",
        re.compile(r"(?<![0-9A-Za-z])[0-9ANY][0-9A-Z]\d{6}[0-9A-HJ-NP-RTUW-Y]{10}(?![0-9A-Za-z])"),
        0,
        lambda m: is_credit_code(m[0]),
    ),
    Finder(
        "bank_card",
        re.compile(
            r"(?P<label>(?:卡号|账号|帐号|账户|帐户|工行|建行|农行|中行|招行|交行|邮储|[银储信][行蓄用]卡)[^\d\n]{0,6})?"
            rf"(?P<number>{_NOT_IN_NUMBER}\d{{4}}(?:[ -]?\d{{4}}){{2}}[ -]?\d{{2,4}}"
            rf"(?:[ -]?\d{{1,4}}){{0,2}}){_NUMBER_ENDS}"
        ),
        "number",
        _is_bank,
    ),
    Finder(
        "passport",
        re.compile(
            r"(?:护照|通行证|回乡证|台胞证|军官证)(?:号码?)?\s?[:：是为]?\s?(?P<number>[A-Z][A-Z]?\d{7,8}|1[45]\d{7})(?![0-9A-Za-z])"
        ),
        "number",
        needs=("护照", "通行证", "回乡证", "台胞证", "军官证"),
    ),
    Finder(
        "plate",
        re.compile(
            rf"[{_PROVINCES}][A-HJ-NP-Z][·•. ]?(?=[A-Z]{{0,5}}\d[A-Z0-9]*\d)"
            r"[A-HJ-NP-Z0-9]{4,5}[A-HJ-NP-Z0-9挂学警港澳](?![0-9A-Za-z])"
        ),
    ),
    Finder(
        "mobile",
        re.compile(
            rf"(?<![0-9A-Za-z.,_=$])(?<![0-9]-)(?:(?:\+|00)?86[ -]?)?1[3-9]\d([ .-]?)\d{{4}}\1\d{{4}}{_NUMBER_ENDS}"
        ),
        0,
        _is_called,
    ),
    Finder(
        "mobile",
        re.compile(
            rf"(?:\+|00)(?:852|853)[ -]?[2-9]\d{{3}}[ -]?\d{{4}}{_NUMBER_ENDS}"
            rf"|(?:\+|00)886[ -]?0?9\d{{2}}[ -]?\d{{3}}[ -]?\d{{3}}{_NUMBER_ENDS}"
            rf"|{_NOT_IN_NUMBER}09\d{{2}}-\d{{3}}-\d{{3}}{_NUMBER_ENDS}"
        ),
    ),
    Finder(
        "landline",
        re.compile(
            r"(?<![0-9A-Za-z.,_/=])(?<![0-9]-)(?:(?:\+|00)86[ -]?)?"
            r"(?:[(（]0\d{2,3}[)）][ -]?[2-9]\d{6,7}|0?(?:10|2\d|[3-9]\d{2})[ -][2-9]\d{2,3}[ -]?\d{4})"
            r"(?:[ -转]{1,2}\d{1,5})?" + _NUMBER_ENDS
        ),
        0,
        lambda m: (
            m[0].lstrip("(（")[0] in "0+" and _COUNTS.search(m.string[max(0, m.start() - 12) : m.start()]) is None
        ),
    ),
    Finder(
        "landline",
        re.compile(
            rf"{_TELEPHONE}(?:号码?)?[^\d\n。；]{{0,4}}(?P<number>0(?:10|2\d|[3-9]\d{{2}})[2-9]\d{{6,7}}){_NUMBER_ENDS}"
        ),
        "number",
    ),
    Finder(
        "account",
        re.compile(rf"{_WECHAT}(?:号|账号|帐号|ID|id)?[ \t]*(?P<mark>[:：=是为]?)[ \t]*{_ACCOUNT}"),
        "account",
        lambda m: bool(m["mark"]) or "号" in m[0] or not m["account"].isalpha(),
        needs=("微", "薇", "威", "徽", "v", "V", "w", "W"),
    ),
    Finder(
        "account",
        re.compile(
            r"(?:扣扣|[Qq]{2}|企鹅(?=[号:：])|[Qq](?=[群:：号]))(?:号|群|群号)?[ \t]*[:：=是为]?[ \t]*" + _ACCOUNT
        ),
        "account",
        lambda m: m["account"].isdigit() and not re.fullmatch(r"(?:19|20)\d\d", m["account"]),
        needs=("扣扣", "企鹅", "Q", "q"),
    ),
    Finder(
        "ip",
        re.compile(
            r"(?:[iI][pP]|服务器|主机|来自|登录(?:地)?|访问者?|ping|地址)[^\d\n]{0,8}(?P<ip>(?<![0-9.A-Za-z])(?:\d{1,3}\.){3}\d{1,3})(?![0-9A-Za-z/]|\.[0-9]|\s?版)"
        ),
        "ip",
        _is_somebodys,
    ),
    Finder(
        "name",
        re.compile(
            rf"(?:姓名|患者姓名|收[件货]人|户名|联系人|当事人|申请人|投保人)\s?[:：]\s?(?P<name>[{_SURNAMES}][{_HAN}·]{{1,3}})(?=[\s，。,；;、（(]|$)"
        ),
        "name",
        needs=("姓名", "收件人", "收货人", "户名", "联系人", "当事人", "申请人", "投保人"),
    ),
    Finder(
        "name",
        re.compile(rf"(?:患者|病人)(?P<name>[{_SURNAMES}][{_HAN}]{{1,2}})(?=[，,\s][男女]|[，,\s]\d{{1,3}}岁)"),
        "name",
        needs=("患者", "病人"),
    ),
    Finder(
        "address",
        re.compile(
            r"(?:住址|收[货件]地址|家庭[住地]址|户籍(?:地址|所在地)|现住(?:址|地)?|居住地址?|通[讯信]地址|邮寄地址)\s?[:：是]\s?"
            rf"(?P<address>[{_HAN}A-Za-z0-9（）()#－\-—\s]{{5,60}}?(?:[号室栋幢座楼层单元村组户]|\d)+)(?=[，。；;,\n]|\s*$)"
        ),
        "address",
        needs=("址", "户籍", "现住"),
    ),
    Finder(
        "location",
        re.compile(
            r"(?:定位|我的?位置|我家(?:坐标|位置)?)\s?[:：在是]?\s?(?P<point>\d{1,3}\.\d{3,}\s?[,，]\s?\d{1,3}\.\d{3,})"
        ),
        "point",
        needs=("定位", "位置", "我家"),
    ),
)
KINDS: tuple[Kind, ...] = tuple(dict.fromkeys(f.kind for f in FINDERS))
CANDIDATE = (
    r"[0-9０-９①-⑨⓪❶-❾]{4}|[0-9]{3}[ .-][0-9]{3}|[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]|"
    r"[零〇一二三四五六七八九]{7}|@|＠|#|"
    r"\[at\]|（at）|\(at\)|姓名|患者|病人|[收户联当申投][件货名系事请保]人?|住址|地址|户籍|"
    r"(?i:[微薇威徽]信|v[x信]|wx|加v|加[薇微]|wechat|weixin|qq|扣扣|企鹅)"
)
