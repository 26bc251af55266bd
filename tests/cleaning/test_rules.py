"""Rules on real-looking text: what each must change, and what it must not touch."""

from __future__ import annotations

import random
import re
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cleaning import rules
from cleaning.lexicons import load_lexicon
from cleaning.personal_numbers import is_bank_card, is_credit_code
from raylib.errors import ParameterError, RaylibError
from tests.texts import ARTICLE, ENGLISH

PAGE = (
    '<!DOCTYPE html><html><head><title>标题</title><style>p{color:red}</style><script>if (a<b) alert("x")</script>'
    '</head>\n<body><div class="nav">首页 &gt; 新闻</div><h1>春茶上市</h1><!-- 广告 -->'
    "<p>第一段，&ldquo;引号&rdquo;&nbsp;和 <b>粗体</b>字。</p>\n"
    "<p>第二段：当 a &lt; b 且 c &gt; d 时<br>换行。</p><ul><li>甲</li><li>乙</li></ul>\n"
    "<table><tr><th>品名</th><th>价格</th></tr><tr><td>龙井</td><td>300</td></tr></table>"
    '<img src="x.png" alt="图"></body></html>'
)


def test_a_whole_page_becomes_its_text() -> None:
    lines = rules.strip_markup(PAGE).split("\n")
    assert lines == [
        "首页 > 新闻",
        "春茶上市",
        "第一段，“引号”\u00a0和 粗体字。",
        "第二段：当 a < b 且 c > d 时",
        "换行。",
        "甲",
        "乙",
        "品名\t价格",
        "龙井\t300",
    ]


def test_a_page_of_unclosed_items_keeps_its_lines_and_drops_its_scripts() -> None:
    page = "<ul>" + "".join(f"<li>第{i}项" for i in range(2000)) + "<script>var secret = 1;</script></ul>"
    lines = rules.strip_markup(page).split("\n")
    assert lines == [f"第{i}项" for i in range(2000)]


@pytest.mark.parametrize(
    "text",
    [
        "若 a<b 则交换；否则 vector<int> v; 或者 x <y> z。",
        "温度 <5℃ 时停止施工，>30℃ 时洒水。",
        "List<String> names = new ArrayList<>();",
        "他写道：<此处缺字>，后来补上了。",
        "邮箱写成 <name at example> 的样子。",
        "数组 a[1](2) 与 [注] (见下)",
        "3 < 5 && 7 > 2",
    ],
)
def test_running_text_that_looks_like_markup(text: str) -> None:
    assert rules.strip_markup(text) == text


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("联系 zhang.san-01@mail.example.com.cn 即可", "联系 [邮箱] 即可"),
        ("手机 13912345678，或 +86 139-1234-5678。", "手机 [手机]，或 [手机]。"),
        ("13912345678/13912345679", "[手机]/[手机]"),
        ("电话(010)62345678转", "电话[电话]转"),
        ("身份证 11010519491231002X 已核", "身份证 [身份证号] 已核"),
        ("11010519491231002X", "[身份证号]"),  # without a label its check character tells
        ("卡号6222 0212 3456 7890 128。", "卡号[银行卡号]。"),
        ("6222 0212 3456 7890 128。", "[银行卡号]。"),
        ("统一代码 91110108MA01C2XK50 已核", "统一代码 [信用代码] 已核"),
        ("服务器 198.18.0.1 与服务器 52.95.110.1", "服务器 198.18.0.1 与服务器 [IP]"),  # the first is nobody's
        ("QQ：123456789 加我", "QQ：[账号] 加我"),
        ("护照号E12345678，车牌粤B88888", "护照号[证件号]，车牌[车牌]"),
    ],
)
def test_personal_data_goes(text: str, cleaned: str) -> None:
    assert rules.remove_personal_data(text) == cleaned


@pytest.mark.parametrize(
    "text",
    [
        "ISBN 978-7-302-51169-7，定价 59.80 元",
        "2023-08-14 12:30:45 与 20230814",
        "人口 1411778724 人，面积 9634057 平方公里",
        "圆周率 3.14159265358979323846",
        "订单编号 12345678901234567",  # fails Luhn
        "编号 110105194912310021",  # wrong checksum, and no label
        "身份证 110105199913310022",  # no such date
        "版本 10.2.300.4 发布于 1999.12.31",
        "公式 E=mc^2，x@y 表示运算",
        "比分 102-98，第 13 节 100 页",
        "股票代码 600519，涨 12.5%",
        "坐标 116.3974, 39.9093",
        "手机厂商发布了 5 款新机",
    ],
)
def test_ordinary_numbers_stay(text: str) -> None:
    assert rules.remove_personal_data(text) == text


def test_placeholders_are_typed() -> None:
    out = rules.remove_personal_data("写信给 a@b.com 或打 13912345678", mode="placeholder")
    assert "a@b.com" not in out
    assert "13912345678" not in out
    assert len(re.findall(r"[\[<【].+?[\]>】]", out)) == 2


def _checksum(body: str) -> str:
    weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]
    return "10X98765432"[sum(int(c) * w for c, w in zip(body, weights, strict=True)) % 11]


@given(st.dates(min_value=date(1900, 1, 1), max_value=date(2099, 12, 31)), st.integers(0, 999))
@settings(max_examples=50)
def test_every_valid_identity_number_goes_and_a_wrong_checksum_stays(born: date, serial: int) -> None:
    body = f"110105{born:%Y%m%d}{serial:03d}"
    right = _checksum(body)
    assert rules.remove_personal_data(f"证号{body}{right}。") == "证号[身份证号]。"
    numbers = [body + mark for mark in "0123456789" if mark != right]
    wrong = next(n[-1] for n in numbers if not is_bank_card(n) and not is_credit_code(n))
    assert rules.remove_personal_data(f"证号{body}{wrong}。") == f"证号{body}{wrong}。"


def test_repeats_of_every_period_collapse_in_one_pass() -> None:
    unit = "".join(chr(0x4E00 + 37 * i % 4000) for i in range(700))
    for period in (3, 5, 31, 32, 33, 64, 100, 511, 700):
        text = f"开头。{unit[:period] * 3}结尾。"
        assert rules.remove_repeats(text, units="any") == f"开头。{unit[:period]}结尾。", period


@given(st.text(alphabet="甲乙丙丁1", max_size=40), st.integers(2, 4))
@settings(max_examples=100)
def test_repeats_are_a_fixed_point(text: str, copies: int) -> None:
    out = rules.remove_repeats(text * copies, units="any")
    assert len(out) <= len(text * copies)
    assert re.search(r"(\D{3,31}?)\1", out) is None


def test_boilerplate_goes_and_the_article_stays() -> None:
    head = "点击上方蓝字关注我们！\n长按识别二维码，加入读者群。"
    tail = "觉得不错请点个在看，分享给更多朋友。\n本文版权归原作者所有，如有侵权请联系删除。"
    page = f"{head}\n{ARTICLE}\n{tail}"
    assert rules.cut_boilerplate_ends(page).strip() == ARTICLE
    inside = ARTICLE.replace("\n", "\n村口的公众号二维码贴在公告栏上，老人们不会扫。\n", 1)
    assert rules.cut_boilerplate_ends(inside) == inside


def test_navigation_lines_go_and_prose_lines_stay() -> None:
    tail = "上一篇：无\n下一篇：春耕\nCopyright © 2023 版权所有\n分享到：微信 微博 QQ空间"
    page = f"首页 | 新闻 | 体育 | 登录 | 注册\n{ARTICLE}\n{tail}"
    assert rules.drop_lines(page).strip() == ARTICLE
    prose = "他翻到下一页，继续读下去。\n她说：“请联系我们的馆长。”\n2023年8月14日那天，山里下了一场大雨。"
    assert rules.drop_lines(prose) == prose


def test_garbled_text_of_every_kind() -> None:
    assert rules.fix_encoding(ARTICLE.encode().decode("latin-1")) == ARTICLE
    assert rules.fix_encoding(ARTICLE.encode("gbk").decode("latin-1")) == ARTICLE
    assert rules.fix_encoding(ENGLISH) == ENGLISH
    assert rules.garbled("锟斤拷锟斤拷烫烫烫" * 5) is not None
    assert rules.garbled(ARTICLE) is None


def test_lexicon_files_report_their_flaws(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_bytes("赌场=>gambling\n\n=>nothing\n单\n坏行=>\n".encode() + b"\xff\xfe\n" + b"Casino=>ads\n")
    words = load_lexicon(str(path), 2)
    assert words.words == ("赌场", "casino")
    numbers = [p.split(":")[1] for p in words.problems]
    assert numbers == ["3", "5", "6", "4"], "unread lines first, then words that were left out"
    hits = [(h.word, h.category, h.offset) for h in words.hits("去CASINO或赌场，casinos不算")]
    assert hits == [("casino", "ads", 1), ("赌场", "gambling", 8)]
    with pytest.raises(ParameterError, match="neither a file nor"):
        load_lexicon(str(tmp_path / "missing.txt"))


def test_lexicon_evidence_has_word_category_and_offset() -> None:
    found = rules.lexicon("澳门网上赌场开业，真人荷官在线发牌，注册送彩金，百家乐技巧。")
    assert found is not None
    assert "gambling" in found
    assert " at " in found


def test_language_by_script_and_model() -> None:
    texts = [ARTICLE, ENGLISH, "これはペンです。とても良い。", "Это русский текст о погоде.", "1234 5678"]
    assert rules.language(texts).to_pylist() == ["zh", "en", "ja", "ru", "und"]
    assert [e is None for e in rules.language(texts, allowed=("zh", "en")).to_pylist()] == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_a_chinese_sentence_between_names_of_europe_is_chinese() -> None:
    names = "Müller Straße Bürgermeister Königsberg Universität München Gesellschaft"
    assert rules.language([f"{names} 水库修好以后农田", f"{names} Zürich"]).to_pylist()[0] == "zh"


def test_traditional_text_is_flagged() -> None:
    table = pa.table({"id": ["1", "2"], "text": pa.array(["這座圖書館位於舊城區", ARTICLE], pa.large_string())})
    out = rules.to_simplified(table).kept
    assert out["text"][0].as_py() == "这座图书馆位于旧城区"
    assert out["traditional"].to_pylist() == [True, False]


def test_ad_classifier_with_a_trained_model(tmp_path: Path) -> None:
    fasttext = pytest.importorskip("fasttext")
    import jieba

    ads = ["特价促销，扫码下单立减", "招商加盟热线，名额有限", "加微信领取优惠券，全场包邮", "厂家直销，量大从优"]
    prose = ["他沿着河边慢慢地走", "图书馆里坐满了学生", "山上的茶农天不亮就出门", "列车穿过了三十座隧道"]
    lines = [f"__label__ad {' '.join(jieba.cut(t))}" for t in ads * 20]
    lines += [f"__label__ok {' '.join(jieba.cut(t))}" for t in prose * 20]
    (tmp_path / "train.txt").write_text("\n".join(lines), "utf-8")
    model = fasttext.train_supervised(str(tmp_path / "train.txt"), epoch=25, lr=0.5, dim=10, verbose=0)
    model.save_model(str(tmp_path / "ads.bin"))
    found = rules.ad_classifier([*ads, *prose], model=str(tmp_path / "ads.bin"))
    assert [e is not None for e in found.to_pylist()] == [True] * 4 + [False] * 4


def test_wrong_parameters_are_named(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="min_length must lie between 1 and 31, is 40"):
        rules.remove_repeats("好" * 9, min_length=40)
    with pytest.raises(ParameterError, match=r"there is no file 'missing\.bin'"):
        rules.ad_classifier("好", model="missing.bin")
    (tmp_path / "empty.txt").write_text("=>nothing\n", "utf-8")
    with pytest.raises(RaylibError, match="holds no usable word"):
        load_lexicon(str(tmp_path / "empty.txt"))


def test_repetition_is_not_the_length_of_a_text() -> None:
    """In a long text every n-gram occurs again somewhere; in a song the chorus does."""
    source = random.Random(3)
    phrases = ["".join(chr(source.randint(0x4E00, 0x6E00)) for _ in range(20)) for _ in range(2500)]
    book = "，".join(source.choice(phrases) for _ in range(20_000))
    assert rules.repetition([book], scale=2.2).to_pylist() == [None]
    verse = "春天的水漫过石桥，孩子们沿着河岸追一只风筝，\n老人坐在门口，数着远处归来的船。\n"
    chorus = "河水啊你慢慢地流，把我的歌带到海边，\n海边有人在等我，等我唱完这一遍。\n"
    other = "秋天的风吹过稻田，收割的人弯下腰去，\n月亮升起来的时候，灯一盏一盏地亮了。\n"
    last = "冬天的雪盖住山路，邮差背着信走进村里，\n火炉边的故事讲到半夜，谁也舍不得去睡。\n"
    assert rules.repetition([verse + chorus + other + chorus + last + chorus], scale=2.2).to_pylist() == [None]


def test_a_list_whose_lines_differ_in_numbers_repeats() -> None:
    titles = "".join(
        f"· 第{i}期全市中学生读书活动获奖名单公布（{i}） 2031-0{1 + i % 9}-1{i % 9}\n" for i in range(1, 13)
    )
    (found,) = rules.repetition([titles], scale=2.2).to_pylist()
    assert found is not None
    assert "lines" in found


def test_every_word_of_a_list_of_ones_own_counts(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("冰川湖畔\n", "utf-8")
    texts = ["他们在“冰川湖畔”住了三天。", "冰川湖畔，冰川湖畔，冰川湖畔。", "湖畔。"]
    mine = str(tmp_path / "mine.txt")
    assert rules.sensitive(texts, lexicon=mine).is_valid().to_pylist() == [True, True, False]
    assert rules.lexicon(texts, lexicon=mine).is_valid().to_pylist() == [False, True, False]
    assert rules.lexicon(texts, lexicon=mine, max_hits=1).is_valid().to_pylist() == [True, True, False]
