"""`text_quality` on good texts of unusual kinds, which a model takes for bad ones when it has not seen their source."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from cleaning.rules import text_quality
from cleaning.textmodel import features

UNUSUAL = {
    "tale in separate words": (
        "从前 有 一 只 小 刺猬 ， 住 在 山坡 下 的 树洞 里 。 秋天 到 了 ， 它 每天 背 着 篮子 去 捡 果子 。 "
        "有 一天 ， 它 在 路上 遇见 一 只 迷路 的 小 松鼠 。 小 松鼠 哭 着 说 ， 我 找 不 到 家 了 。 "
        "小 刺猬 把 果子 分 给 它 一 半 ， 陪 它 走 了 很 远 ， 终于 看见 了 那 棵 老 松树 。"
    ),
    "transcript of a broadcast": (
        "各位听众晚上好，今天是十月九日，星期四，欢迎收听本台新闻。首先请听内容提要。全省秋收过半，粮食部门提前腾出仓容。"
        "沿江三座泵站完成检修，明天起恢复送水。下面请听详细内容。记者从今天召开的会议上了解到，今年全省秋粮面积保持稳定，"
        "各地组织农机手跨县作业，抢在降雨之前收割。会议要求，要把责任落实到村，确保颗粒归仓。"
    ),
    "classical line with its translation": (
        "古文：邑有老圃，善种瓜，人问其术，曰：勤而已矣。\n现代文：县里有个老菜农，擅长种瓜，人们问他有什么方法，"
        "他说：只是勤快罢了。\n\n古文：每日未明而起，视其蔓，去其虫，旱则汲水以溉之。\n"
        "现代文：他每天天没亮就起来，察看瓜蔓，捉掉虫子，天旱了就打水来浇。"
    ),
    "review of a hotel": (
        "房间不大,但是收拾得很干净,床单有太阳晒过的味道.前台的小姑娘帮忙把行李拎到三楼,没有电梯这一点年纪大的人要注意."
        "早餐比较简单,豆浆是现磨的.窗户临街,晚上十一点以后还能听到车声,睡觉轻的客人最好要里面的房间.离车站走路十分钟."
    ),
    "article in traditional characters": (
        "這座燈塔建於清末，原本由一位英國技師設計，後來經過兩次改建。日治時期加裝了霧笛，戰後改用電力照明。"
        "如今塔下的舊宿舍整理成小型展覽館，陳列當年守塔人的日記與工具，週末有志工為遊客導覽，講述海上救難的故事。"
    ),
    "abstract with narrow marks": (
        "为研究不同含水率下黄土边坡的变形规律,采用离心模型试验与数值模拟相结合的方法,对三组坡角的试样进行了加载."
        "结果表明,含水率升高后坡脚首先出现剪切带,并沿软弱面向坡顶扩展;坡角越大,破坏越突然.据此提出了预警位移的取值建议."
    ),
}


@pytest.mark.parametrize("kind", UNUSUAL)
def test_good_texts_of_unusual_kinds_stay(kind: str) -> None:
    assert text_quality(UNUSUAL[kind]) is None


def test_characters_in_a_random_order_go() -> None:
    solid = [c for text in UNUSUAL.values() for c in text if "\u4e00" <= c <= "\u9fff"]
    mixed = "".join(np.random.default_rng(1).permutation(solid).tolist())
    assert text_quality(mixed) is not None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("山 下 的 村子 ， 很 安静 。", "山下的村子，很安静。"),
        ("體育館門前", "体育馆门前"),
        ("雨停了,我们出发!", "雨停了，我们出发！"),
    ],
)
def test_the_model_does_not_see_layout_and_script(one: str, other: str) -> None:
    seen, same = (features(pa.array([text], pa.large_string())) for text in (one, other))
    for left, right in zip((*seen.grams, seen.pairs), (*same.grams, same.pairs), strict=True):
        assert left.values.tolist() == right.values.tolist()
    np.testing.assert_array_equal(seen.counts, same.counts)
