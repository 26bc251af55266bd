"""Texts that tests share. All written for this project."""

from __future__ import annotations

import random
from typing import Any

ARTICLE = (
    "清明前后，山上的茶农天不亮就背着竹篓出门，赶在太阳升高之前采下带露水的嫩芽。炒茶的铁锅要烧到两百度左右，"
    "师傅的手在锅里翻动，凭手感判断火候。\n新茶下锅之后先要杀青，把叶子里的青草气赶走，再慢慢揉捻成形。"
    "一斤干茶大约需要四万多个芽头，手快的人一天也只能采三斤鲜叶。\n村里的老人说，看一杯茶好不好，先看汤色，"
    "再闻香气，最后才是滋味。近几年外出的年轻人陆续回来，把茶园改成了可以参观的小院。"
)
ENGLISH = (
    "The old railway station was turned into a small museum three years ago. Visitors can walk along the platform "
    "and read about the people who worked here. Most of the exhibits were donated by families who still live nearby."
)
CLASSICAL = "学而时习之，不亦说乎？有朋自远方来，不亦乐乎？人不知而不愠，不亦君子乎？"
POEM = "床前明月光，疑是地上霜。\n举头望明月，低头思故乡。"
CODE = "def add(a: int, b: int) -> list[int]:\n    if a < b and b > 0:\n        return [a + b]\n    return []\n"

_TOPICS = {
    "茶": [
        "怎样判断一杯绿茶是否新鲜？",
        "炒茶的时候为什么要先杀青？",
        "请介绍三种常见的茶叶，并说明各自的冲泡水温。",
        "写一句关于采茶的话。",
    ],
    "车站": [
        "老火车站改成了什么？",
        "为火车站博物馆设计一条参观路线，不超过五步，并解释理由。",
        "比较高铁和普通列车的优缺点。",
        "火车站几点开门？",
    ],
    "算术": [
        "计算十七乘以二十三，并写出步骤。",
        "证明两个奇数的和是偶数。",
        "三个苹果加四个苹果是多少？",
        "一辆车每小时走六十公里，两个半小时走多远？",
    ],
    "花园": [
        "春天适合种什么花？",
        "请用表格列出五种花的花期、颜色和浇水次数。",
        "为什么叶子会发黄？分析可能的原因并给出解决办法。",
        "写一首关于花园的短诗。",
    ],
}
_ANSWERS = {
    "茶": "新鲜的绿茶汤色清亮，香气清高，入口微苦而后回甘。存放太久的茶叶颜色发暗，闻起来有陈味。",
    "车站": "老火车站三年前改成了一座小型博物馆，参观者可以沿着站台走一圈，读一读当年在这里工作的人的故事。",
    "算术": "首先把数字拆开，然后分别相乘，最后把结果相加，就得到答案。",
    "花园": "首先检查土壤的湿度，其次看叶子背面有没有虫，然后适当施肥，最后把花盆移到有光的地方。",
}


def conversations(n: int, seed: int = 0) -> list[dict[str, Any]]:
    """Short conversations about four subjects, easy and hard ones, some of them flawed in known ways."""
    rng = random.Random(seed)
    rows = []
    for i in range(n):
        topic = rng.choice(list(_TOPICS))
        question = rng.choice(_TOPICS[topic])
        answer = _ANSWERS[topic] + rng.choice(
            ["", "希望这些说明对你有帮助。", "如果还有疑问，可以再查一查资料。", f"这是第{i}条建议。"]
        )
        row = {
            "id": f"c{i:04d}",
            "source": topic,
            "messages": [
                {"role": "user", "content": f"{question}（第{i}问）"},
                {"role": "assistant", "content": answer},
            ],
        }
        rows.append(row)
    return rows
