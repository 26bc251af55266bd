"""Write the bundled samples: dirty Chinese pages, instructions, and texts with labels, all of it our own text.

Phone, card and identity numbers are invalid by construction or reserved for documentation.
Run it again only to change the sample; the result is committed.
"""

from __future__ import annotations

import csv
import gzip
import json
import random
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"
INSTRUCTIONS = Path(__file__).parent / "instructions"
LABELLED = Path(__file__).parent / "labelled"

TOPICS = {
    "tea": [
        "清明前后，山上的茶农天不亮就背着竹篓出门，赶在太阳升高之前采下带露水的嫩芽。",
        "炒茶的铁锅要烧到两百度左右，师傅的手在锅里翻动，凭手感判断火候。",
        "新茶下锅之后先要杀青，把叶子里的青草气赶走，再慢慢揉捻成形。",
        "一斤干茶大约需要四万多个芽头，手快的人一天也只能采三斤鲜叶。",
        "泡绿茶的水不宜太烫，八十度上下最能留住清香。",
        "村里的老人说，看一杯茶好不好，先看汤色，再闻香气，最后才是滋味。",
        "近几年外出的年轻人陆续回来，把茶园改成了可以参观的小院。",
        "雨水太多的年份，茶叶的香气会淡一些，价钱也就上不去。",
        "他把祖父留下的制茶笔记抄了一遍，又添上自己这些年的心得。",
    ],
    "railway": [
        "这条铁路修了整整八年，穿过三十多座隧道，才把山里的县城和省会连在一起。",
        "通车那天，沿线的村民早早站在路边，孩子们骑在大人的肩膀上等着看火车。",
        "列车员说，春运期间每趟车都要多挂两节车厢，即便如此还是坐得满满当当。",
        "以前去一趟省城要坐六个小时的汽车，现在只要五十分钟。",
        "隧道里的温度常年在十五度上下，工人们夏天进洞还要穿上厚外套。",
        "车站的设计参考了当地的民居，屋檐翘起来，像一只准备起飞的鸟。",
        "最难修的一段桥墩高九十多米，施工队在峡谷里整整待了三个冬天。",
        "有了铁路以后，山里的水果当天就能送到城里的市场。",
    ],
    "library": [
        "图书馆在老城区的一条小街上，门口有两棵很大的银杏树。",
        "馆里收藏了四万多册地方文献，其中有不少是捐赠者从旧货市场一本一本淘来的。",
        "管理员每天早上七点到岗，先把前一天归还的书按编号放回书架。",
        "周末的下午，三楼的阅览室里总是坐满了准备考试的学生。",
        "修补古籍的师傅用毛笔蘸着浆糊，把破损的书页一点一点托平。",
        "孩子们最喜欢一楼的绘本角，那里可以脱了鞋坐在地上看书。",
        "馆长说，他们正在把馆藏的地方报纸扫描成电子版，供读者在家查阅。",
        "有一位退休教师坚持每周来做志愿者，已经整整十二年了。",
    ],
    "health": [
        "感冒多数由病毒引起，一般不需要使用抗生素，多休息、多喝水往往一周左右就能恢复。",
        "如果发烧超过三天不退，或者出现呼吸困难，应当及时到医院就诊。",
        "高血压患者要注意控制食盐的摄入量，每天不要超过五克。",
        "适量的运动有助于改善睡眠，但睡前两个小时内最好不要做剧烈运动。",
        "体检报告上的箭头并不都意味着疾病，需要结合症状由医生来判断。",
        "长时间看屏幕的人，每隔四十分钟应当站起来活动几分钟，看看远处。",
        "儿童的用药剂量要按体重计算，不能简单地把成人的药减半。",
        "饭后马上躺下容易引起反酸，最好先散步一刻钟。",
    ],
    "city": [
        "这座城市的早晨是从豆浆和油条的香味里开始的，巷口的摊子五点钟就亮起了灯。",
        "老城墙只剩下南门那一段，傍晚的时候常有人在城楼上拉二胡。",
        "地铁四号线开通以后，从东站到大学城只要半个小时。",
        "河边的步道修好了，沿岸种了一排柳树，春天的时候绿得发亮。",
        "居民们最关心的是老旧小区的电梯什么时候能装上。",
        "菜市场搬进了新楼，摊位编了号，地面也不再湿滑了。",
        "每到夏天的晚上，广场上就挤满了跳舞的人和追着泡泡跑的孩子。",
        "政府计划用三年时间把沿街的电线全部埋到地下。",
    ],
    "software": [
        "写程序的时候，最难的往往不是让它跑起来，而是让别人在半年之后还能看懂。",
        "测试应当描述行为，而不是重复实现，否则一改代码就要改测试。",
        "缓存能让系统变快，也会让错误变得难以重现，所以要先想清楚什么时候失效。",
        "日志里要写明发生了什么、在哪里发生、应该怎么办，三者缺一不可。",
        "数据库的索引不是越多越好，每多一个索引，写入就要慢一点。",
        "代码评审的目的不是挑错，而是让两个人都理解这段代码。",
        "处理文本之前，先确认它的编码，很多乱码问题都出在这一步。",
        "并发程序的错误常常和时间有关，所以要在测试里故意打乱顺序。",
    ],
}  # fmt: skip
HEADS = [
    "点击上方蓝字关注我们！",
    "关注公众号，获取更多精彩内容。",
    "长按识别二维码，加入读者群。",
    "原标题：本地新闻一则。",
]
TAILS = [
    "觉得不错请点个在看，分享给更多朋友。",
    "本文版权归原作者所有，如有侵权请联系删除。",
    "商务合作请添加微信号：sample_desk01。",
    "阅读原文，了解更多。\n责任编辑：小李",
]
TRADITIONAL = [
    "這座圖書館位於舊城區的小街上，門口有兩棵很大的銀杏樹，每到秋天便落滿一地金黃。",
    "館內收藏了許多地方文獻，其中不少是捐贈者從舊書攤上一本一本蒐集來的。",
    "週末的下午，閱覽室裡總是坐滿了準備考試的學生，安靜得只聽見翻書的聲音。",
    "管理員每天清晨到館，先將前一天歸還的書籍依編號放回書架。",
    "修補古籍的師傅用毛筆蘸著漿糊，把破損的書頁一點一點托平。",
    "館長說，他們正在將館藏的舊報紙掃描成電子檔，供讀者在家中查閱。",
    "有一位退休教師堅持每週來擔任志工，已經整整十二年了。",
]
TRADITIONAL_MORE = [
    "河邊的步道修好了，沿岸種了一排柳樹，春天的時候綠得發亮。",
    "鐵路通車那天，沿線的村民早早站在路邊，孩子們騎在大人的肩膀上等著看火車。",
    "炒茶的鐵鍋要燒到兩百度左右，師傅的手在鍋裡翻動，憑手感判斷火候。",
    "長時間看螢幕的人，每隔四十分鐘應當站起來活動幾分鐘，看看遠處。",
    "菜市場搬進了新樓，攤位編了號，地面也不再濕滑了。",
]
ENGLISH = [
    "The old railway station was turned into a small museum three years ago.",
    "Visitors can walk along the platform and read about the people who worked here.",
    "Most of the exhibits were donated by families who still live near the line.",
    "On weekends a retired engineer explains how the signals used to work.",
    "Admission is free, but please book a time slot in advance.",
]
SPAM = [
    "澳门网上赌场开业，真人荷官在线发牌，注册就送彩金。",
    "百家乐技巧分享，老虎机秒到账，首存翻倍。",
    "六合彩内部资料免费看，赌球开户找我们，盘口最全。",
    "真钱棋牌室新开张，炸金花、斗牛、二八杠应有尽有。",
    "博彩平台信誉第一，提款三分钟到账，绝不拖欠。",
    "时时彩计划群每天带单，跟着下注稳赚不赔。",
]
ADS = [
    "专业办理各类手续，特价99元起，名额有限。",
    "咨询热线 400-000-0000，微信同号，扫码下单立减。",
    "招商加盟火热进行中，加盟热线 400-000-0001，欢迎来电。",
    "厂家直销，全国包邮，联系电话 400-000-0002。",
    "本店新开业，满100减20，优惠券扫码领取。",
    "代理价格更低，加微信领取报价单，24小时在线客服。",
]


def article(rng: random.Random, topic: str, low: int = 5, high: int = 9) -> str:
    sentences = TOPICS[topic]
    chosen = rng.sample(sentences, min(len(sentences), rng.randint(low, high)))
    paragraphs, start = [], 0
    while start < len(chosen):
        step = rng.randint(2, 4)
        paragraphs.append("".join(chosen[start : start + step]))
        start += step
    return "\n".join(paragraphs)


def page(rng: random.Random, topic: str) -> str:
    kind = rng.random()
    body = article(rng, topic, 6) + "\n" + article(rng, rng.choice([t for t in TOPICS if t != topic]), 6)
    if kind < 0.30:  # an account's article between advertisements
        return f"{rng.choice(HEADS)}\n{body}\n{rng.choice(TAILS)}"
    if kind < 0.50:  # raw HTML
        paragraphs = "".join(f"<p>&nbsp;&nbsp;{p}</p>\n" for p in body.split("\n"))
        return (
            f"<html><head><title>{topic}</title><script>var a = 1 < 2;</script></head><body>"
            f"<div class='nav'>首页 &gt; 新闻 &gt; 本地 | 登录 | 注册</div><div id=\"main\">{paragraphs}</div>"
            "<!-- footer --><div>Copyright © 2023 示例网 版权所有</div></body></html>"
        )
    if kind < 0.62:  # personal data: reserved or impossible numbers
        contact = rng.choice(
            [
                "联系人王先生，电话 +86 139-0000-0000，邮箱 wang.demo@example.com。",
                "有意者请加QQ：100001234，或发邮件到 info@example.org。",
                "服务器地址 192.0.2.17，咨询热线 400-000-0000。",
            ]
        )
        return f"{body}\n{contact}\n详见 http://www.example.com/a/b?id={rng.randint(1, 999)}，谢谢。"
    if kind < 0.72:  # forum residue and repeats
        counts = f"{rng.randint(2, 90)}点赞 {rng.randint(2, 9)}收藏 5评论"
        return f"@路人甲 {body}\n太好看了太好看了太好看了！！！！\n{counts}\n（全文完）"
    if kind < 0.80:  # full-width letters, circled numbers, spaces between characters
        return "　　" + body.replace("，", "，\u200b", 1).replace("的", "的 ", 3) + "\n①ＡＢＣ　②１２３　Ⅲ．结束"
    return body


def records(rng: random.Random) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = []

    def add(text: str, source: str, **extra: str) -> None:
        rows.append({"id": f"demo-{len(rows):04d}", "source": source, "text": text, **extra})

    topics = list(TOPICS)
    for i in range(240):
        add(page(rng, topics[i % len(topics)]), "web", **({"url": f"http://example.com/{i}"} if i % 7 == 0 else {}))
    for _ in range(30):
        add("\n".join(rng.sample(TRADITIONAL, 7) + rng.sample(TRADITIONAL_MORE, 4)), "traditional")
    for _ in range(12):  # copies that differ in punctuation and width only
        original = rng.choice(rows[:240])
        add(original["text"].replace("，", ","), "copies")
        add(original["text"], "copies")
    for _ in range(20):  # reposts: the same article under another head, with a sentence changed
        original = rng.choice(rows[:240])
        body = original["text"].replace("他", "她").replace("三", "两", 2)
        add(f"{rng.choice(HEADS)}\n{body}\n转载自网络，欢迎分享。", "reposts")
    for _ in range(8):
        add(article(rng, rng.choice(topics)).encode().decode("latin-1"), "mojibake")
        add("锟斤拷" * rng.randint(20, 60) + "烫烫烫" + article(rng, "city", 3, 3), "garbled")
    for _ in range(8):
        chapters = [
            f"第{n}章 {''.join(rng.sample('山河湖海云风雪月花木', 3))}，{rng.choice('上中下')}篇" for n in range(1, 40)
        ]
        add("\n".join(chapters), "contents")
        fruit = ["苹果", "香蕉", "雪梨", "橘子", "葡萄", "西瓜", "桃子", "李子", "柿子", "石榴", "荔枝", "龙眼"]
        lines = ["、".join(f"{name}{rng.randint(2, 99)}斤" for name in rng.sample(fruit, 5)) for _ in range(8)]
        add("今日价目，单位斤\n" + "\n".join(lines), "tables")
        add("".join(rng.sample(SPAM, 5)), "spam")
        add("".join(rng.sample(ADS, 5)), "spam")
        add("太短了。", "short")
    for _ in range(10):
        add(" ".join(rng.sample(ENGLISH, 5)) * 2, "english")
    return rows


EASY = ["说一句关于{}的话。", "用一句话介绍{}。", "{}是什么样的？", "写一个和{}有关的标题。"]
HARD = [
    "请围绕{}写一段说明，至少三句话，并在最后给出一条建议。",
    "分析{}近几年的变化，说明原因，再按照“首先、其次、最后”的格式列出三点。",
    "比较两种关于{}的说法，指出各自的依据，回答不超过一百五十个字。",
    "为什么人们关心{}？请分步骤解释，并举出两个例子。",
]
NAMES = {
    "tea": "茶叶",
    "railway": "铁路",
    "library": "图书馆",
    "health": "健康",
    "city": "城市生活",
    "software": "软件",
}


def instructions(rng: random.Random) -> list[dict[str, Any]]:
    """Instructions of known difficulty about the same topics, some copied, some flawed."""
    rows: list[dict[str, Any]] = []
    for topic, sentences in TOPICS.items():
        name = NAMES.get(topic, topic)
        for i in range(60):
            hard = i % 3 == 0
            asked = rng.choice(HARD if hard else EASY).format(name)
            told = rng.sample(sentences, 4 if hard else 1)
            answer = (
                "".join(f"{w}，{s}" for w, s in zip(("首先", "其次", "然后", "最后"), told, strict=False))
                if hard
                else told[0]
            )
            rows.append(
                {
                    "id": f"{topic}-{i}",
                    "source": topic,
                    "instruction": asked,
                    "input": rng.choice(["", "", f"背景：{rng.choice(sentences)}"]),
                    "output": answer,
                }
            )
    rows += [{**row, "id": row["id"] + "-copy"} for row in rng.sample(rows, 20)]
    flaws = [
        "抱歉，我无法提供这方面的帮助。",
        "作为一个人工智能语言模型，这个问题没有答案。",
        "### Response: 见上文。",
        "这件事要从头说起，",
        "",
    ]
    for i in range(30):
        row = rng.choice(rows)
        rows.append({**row, "id": f"flawed-{i}", "output": flaws[i % len(flaws)]})
    rng.shuffle(rows)
    return rows


RUDE = ["你这个人真是{}", "说这种话的都是{}", "连这都不懂，果然是{}", "别在这里丢人了，{}", "滚远一点，{}"]
INSULTS = ["没脑子的东西。", "一群废物。", "蠢得没救了。", "不要脸的家伙。", "猪都比你聪明。", "白痴一个。"]
KIND = ["谢谢你的提醒，", "我也是这样想的，", "说得很有道理，", "请问可以再讲讲吗？", "补充一点，"]


def labelled(rng: random.Random) -> dict[str, list[dict[str, str]]]:
    """Texts for two classifiers: one of offensive remarks, one of topics."""
    everything = [s for sentences in TOPICS.values() for s in sentences]
    remarks = [{"text": r.format(i), "label": "offensive"} for r in RUDE for i in INSULTS]
    remarks += [{"text": r.format(i) + rng.choice(everything), "label": "offensive"} for r in RUDE for i in INSULTS]
    remarks += [{"text": rng.choice(KIND) + rng.choice(everything), "label": "ordinary"} for _ in range(120)]
    topics = [{"text": article(rng, topic, 2, 4), "label": topic} for topic in TOPICS for _ in range(30)]
    return {"offensive": remarks, "topics": topics}


def main() -> None:
    rng = random.Random(20261126)
    LABELLED.mkdir(exist_ok=True)
    for name, texts in labelled(rng).items():
        rng.shuffle(texts)
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in texts]
        (LABELLED / f"{name}.jsonl").write_text("".join(lines), "utf-8")
    made = instructions(random.Random(20261125))
    INSTRUCTIONS.mkdir(exist_ok=True)
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in made]
    (INSTRUCTIONS / "instructions.jsonl").write_text("".join(lines), "utf-8")
    rng = random.Random(20261124)
    DATA.mkdir(exist_ok=True)
    rows = records(rng)
    rng.shuffle(rows)
    half = len(rows) // 2
    lines = [json.dumps(r, ensure_ascii=False) for r in rows[:half]]
    # what goes wrong in real files: a field of the wrong type, a missing one, no JSON, and a cut last line
    lines.insert(20, '{"id": "bad-1", "source": "web", "text": 42}')
    lines.insert(40, '{"id": "bad-2", "source": "web", "body_html": null}')
    lines.insert(60, "<<<<<<< merge conflict")
    lines.append('{"id": "bad-3", "source": "web", "text": "这一行在写到一半的时候被切断了，因为磁盘')
    (DATA / "pages.jsonl").write_text("\n".join(lines), "utf-8")
    with gzip.GzipFile(DATA / "more_pages.jsonl.gz", "wb", mtime=0) as stream:
        for row in rows[half:]:
            stream.write((json.dumps(row, ensure_ascii=False) + "\n").encode())
    with (DATA / "forum.csv").open("w", encoding="gb18030", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["title", "ask", "answer"])
        for i in range(40):
            topic = rng.choice(["health", "software"])
            question, *rest = rng.sample(TOPICS[topic], 6)
            writer.writerow([f"请教第{i + 1}个问题", f"大家好，{question}请问是这样吗？", "您好，" + "".join(rest)])


if __name__ == "__main__":
    main()
