"""Lines of pages that are no text: navigation, bylines, counters, forum floors, captions, players, notices, scripts."""

from __future__ import annotations

import functools
import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cleaning.codepoints import Flags
from cleaning.declare import rewrite
from cleaning.lexicons import Lexicon, load_lexicon
from cleaning.protected import Kind, is_mark, outside
from cleaning.texts import re2, rewrite_each
from raylib.paths import PathName

__all__ = ["drop_lines"]

_DATE = r"\d{4}\s?[-年/.]\s?\d{1,2}\s?[-月/.]\s?\d{1,2}\s?日?"
_TIME = r"\d{1,2}[:：]\d{2}(?:[:：]\d{2})?"
_WHO = r"来源|稿源|作者|编辑|责任编辑|责编|记者|浏览|阅读|点击|字号|评论|发布者|发布人|文章来源|信息来源|查看|人气"
_ACTION = (
    r"回复|举报|支持|反对|引用|点评|收藏|分享|转发|只看该作者|只看大图|倒序浏览|使用道具|楼主|打印本页|打印|关闭窗口|关闭|返回顶部|"
    r"返回首页|返回列表|回到顶部|发新帖|登录|注册|立即注册|播放|暂停|全屏|静音|倍速|展开|收起|写留言|写评论|发表评论|写下(?:你的|您的)?(?:留言|评论)|说点什么|精选留言|加载更多|"
    r"查看更多|更多|上一页|下一页|首页|尾页|末页|扫码|关注|订阅|点赞|在看|赞|踩|微信|微博|QQ空间|QQ|豆瓣|朋友圈|复制链接|海报|收藏本页"
)
_COUNTED = r"阅读|浏览|点击|在看|点赞|赞|评论|收藏|转发|分享|喜欢|回复|支持|反对|查看|人气|楼层|播放"
_NUMBER = r"\d[\d,.]{0,10}\s?[万千wWkK]?\+?"
# The whole line, and nothing but it, is residue wherever it stands.
_ANYWHERE = (
    rf"(?:发布时间|发表时间|更新时间|时间|日期)?[:：]?\s*{_DATE}\s*{_TIME}(?:\s*(?:{_WHO})[^。！？]{{0,60}})?",
    rf"(?:发布时间|发表时间|更新时间|日期)?[:：]?\s*{_DATE}\s*(?:{_WHO})\s*[:：][^。！？]{{0,60}}",
    r"(?:当前位置|您的位置|您现在的位置|现在位置)[:：][^。！？]{0,80}",
    r"(?:首页|主页)\s*(?:[>»›/|｜-]+\s*[^\s>»›|｜]{1,12}\s*){1,8}",
    rf"[\[【(（]?(?:{_ACTION})(?:\s*[(（]\d*[)）])?[\]】)）]?(?:[\s|｜/·:：]+(?:{_ACTION})(?:\s*[(（]\d*[)）])?)*",
    rf"(?:(?:{_COUNTED})(?:数|量|次数)?\s*[:：(（]?\s*{_NUMBER}\s*[)）]?[\s|｜/·,，\u3000]*)+",
    rf"(?:{_NUMBER}\s*(?:次|个|人|条)?(?:{_COUNTED})[\s|｜/·,，\u3000]*)+",
    r"(?:上一篇|下一篇|上一章|下一章|上一条|下一条|前一篇|后一篇)(?:[:：]|\s|$)[^。！？]{0,40}",
    r"分享(?:到|至)[:：]?(?:\s*\S{1,6}){0,10}",
    r"(?:昨天|今天|前天|刚刚)\s*(?:\d{1,2}:\d{2})?\s*(?:赞|回复|举报)[^。！？，]{0,20}",
    r"本(?:主题|帖|贴)由[^。！？]{0,40}(?:设为|加入|置顶|移动|编辑|关闭|提升)[^。！？]{0,20}",
    r"(?:您|你)需要登录后才可以(?:回帖|发帖|下载|查看)[^。！？]{0,30}",
    r"查看(?:全部|所有|更多)\s*\d*\s*(?:条|个)?(?:评论|留言|回复|内容)?",
    r"[\[【(（]?(?:图片?|资料图|配图|题图|插图|图\s?\d{1,3})[\]】)）]",
    r"[\[【(（]?图片?(?:来源|来自|源自|源)(?:于)?[:：]?[^。！？，]{0,24}[\]】)）]?",
    r"[▲△▼▽↑↓►▶]\s?[^。！？]{0,40}(?:摄|图|来源|供图|资料)[^。！？，]{0,16}",
    r"视频加载中[.…。]*|\d{1,2}:\d{2}\s?/\s?\d{1,2}:\d{2}|(?:您|你)的浏览器(?:不支持|版本过低)[^。！？]{0,40}[。！]?",
    r"[-—–·]\s*\d{1,4}\s*[-—–·]|第\s?\d{1,4}\s?页(?:[\s,，/]*共\s?\d{1,4}\s?页)?|\d{1,4}\s*/\s*\d{1,4}",
    r"[\[【(（]?(?:广告|推广|赞助商?(?:内容|链接)?|AD)[\]】)）]?(?:[^。]{0,50}(?:点击|抢购|立即|扫码|下载|优惠|折)[^。]{0,30})?",
    r"[-—=*·\s]{0,6}(?:END|End|end|完|全文完|本文完|未完待续)[-—=*·\s]{0,6}",
    r"(?:阅读|查看|展开|点击)(?:原文|全文|原图|大图|正文)[>»›]{0,3}",
    r"(?:技术支持|网站地图|友情链接|在线客服|后台管理|站内搜索|热门产品|关键词)[:：]?[^。！？，]{0,20}",
)
# The same for lines that begin freely, each with what every such line holds: RE2 is slow at the whole, not at that.
_ANYWHERE_FREE = (
    (
        r"发表于",
        r"[\[【]?(?:楼主|沙发|板凳|地板|\d{1,5}\s?[楼#]|第\s?\d{1,5}\s?楼)[\]】]?[^。！？，]{0,30}发表于[^。！？]{0,60}",
    ),
    (r"发表于", r"[^。！？，]{0,16}发表于\s*\d{4}[-年/.][^。！？]{0,60}"),
    (
        r"\d\s?(?:秒|分钟|小时|天|周|个月|年)前",
        r"[^。！？，]{0,20}\d{1,3}\s?(?:秒|分钟|小时|天|周|个月|年)前[^。！？，]{0,30}",
    ),
    (
        r"第\s?\d{1,3}\s?卷",
        r"[^\s。！？，]{2,20}\s+(?:\d{4}年?\s*)?第\s?\d{1,3}\s?卷[\s,，]*第\s?\d{1,3}\s?期[^。！？]{0,20}",
    ),
    (
        r"(?i)copyright|版权所有|©|\(c\)|ICP[备证]|公网安备",
        r"(?:Copyright|版权所有|©|\(c\))[^。！？]{0,100}|[^。！？]{0,60}(?:ICP[备证]|公网安备)[^。！？]{0,60}",
    ),
    (
        r"[Cc]ookie|订阅我们的",
        r"[^。！？]{0,30}本(?:站|网站)使用\s?[Cc]ookies?[^\n]{0,60}|订阅我们的(?:邮件|邮箱)[^\n]{0,50}",
    ),
)
# Novels that sites have marked against copying.
_NOVEL = re.compile(
    r"天才一秒(?:钟)?记住|一秒记住|记住本站|最快更新|无弹窗|手机用户请|手机版?阅读[:：]|本章未完|请点击下一页|最新章节[:：]|"
    r"(?:笔趣阁|顶点小说|小说网)(?:首发|更新|www)|请收藏本站|章节错误,?点此举报|加入书签"
)
_SCRIPT = re.compile(
    r"adsbygoogle|googletag|_hmt\b|hm\.baidu|cnzz\.com|google-analytics|document\.(?:write|createElement|getElementBy)|"
    r"window\.(?:\w+)\s*=|\$\(document\)|\(function\s?\(\w*\)\s?\{|^\s*var \w+\s*=\s*\w+\s*\|\|"
)
_NOTICE = re.compile(
    r"^(?:点击(?:上方|下方|蓝字)|长按(?:下方|识别|二维码|上图)|扫(?:一扫|描|码)[^，。]{0,12}(?:二维码|关注)|关注(?:我们|本公众号|公众号)|"
    r"点个(?:在看|赞)|点亮在看|分享给更多|识别(?:图中|下方)|免责声明|版权声明|特别声明|声明[:：]|转载(?:请|须)|欢迎(?:转载|关注|投稿)|"
    r"更多(?:精彩|内容|资讯|文章)[^，。]{0,10}(?:关注|点击|请)|商务合作|投稿(?:邮箱|请)|合作请)"
)
# At the head or the tail of a page, but not in the middle: a form may ask for a date, a letter names a source.
_AT_ENDS = (
    rf"(?:{_WHO}|原标题|本文来源|校对|监制|审核|值班编辑|初审|复审|终审|实习生|摄影|标签|关键字|关键词|分类|专栏)\s*[:：][^。！？]{{1,40}}",
    r"[\[【(（](?:责任)?编辑[:：]?[^。！？]{1,20}[\]】)）]",
    r"(?:来源|转自)于?(?:网络|互联网|新华网|人民网|微信)[^。！？]{0,10}",
)
_WHOLE = re.compile("(?:" + "|".join([*_ANYWHERE, *(line for _, line in _ANYWHERE_FREE)]) + r")\s*", re.IGNORECASE)
_ENDS = re.compile("(?:" + "|".join(_AT_ENDS) + r")\s*")
_HEAD_LINES, _TAIL_LINES = 6, 14
_PROSE = re.compile("[，。！？；]")  # 他翻到下一页，继续读。 is a sentence, not a link

_MENU_WORD = re.compile(
    r"首页|主页|新闻|动态|中心|产品|展示|案例|关于|联系|我们|招聘|公司|企业|简介|服务|下载|论坛|会员|登录|注册|帮助|地图|留言|在线|链接|热门|"
    r"推荐|分类|资讯|专题|更多|行业|技术支持|解决方案|搜索|客服|导航|频道|栏目|排行|购物车|订单|收藏|系列|商城|网店|微博|微信|APP|视频|图片"
)
_COMMENTS = re.compile(
    r"(?:网友|最新|热门|精彩|全部|用户|读者|热评|文章)?(?:评论|留言|跟帖|热评)(?:区|列表|专区)?\s*[(（]?\d*\s?条?[)）]?[:：]?"
)
_COMMENT = re.compile(r"赞\s?[(（]?\d|回复|[秒分钟小时天]前|昨天|\d+楼|沙发|顶+$|匿名|网友")
_RELATED = re.compile(
    r"[#■◆●▌|【\[\s]{0,4}(?:相关(?:阅读|文章|推荐|链接|新闻|内容|资讯|报道)|推荐(?:阅读|文章|内容)|延伸阅读|热门(?:推荐|文章|新闻)|猜你喜欢|"
    r"往期(?:推荐|回顾|精选|文章)|更多(?:阅读|新闻|文章|内容)|精彩推荐|为您推荐|大家都在看|看过本文的人还看了)[】\]\s]{0,3}[:：]?"
)


_MENU_LINES, _MENU_LENGTH = 4, 10


def _menus(lines: list[str], gone: list[bool]) -> None:
    """Runs of four or more short lines of which most hold words of a menu."""
    run: list[int] = []
    for i, line in enumerate([*lines, ""]):
        bare = line.strip()
        if 2 <= len(bare) <= _MENU_LENGTH and not _PROSE.search(bare) and not any(map(is_mark, bare)):
            run.append(i)
            continue
        if len(run) >= _MENU_LINES and 2 * sum(_MENU_WORD.search(lines[j]) is not None for j in run) >= len(run):
            for j in run:
                gone[j] = True
        run = []


def _is_prose(line: str) -> bool:
    return len(line) >= 60 and len(_PROSE.findall(line)) >= 2


def _sections(lines: list[str], gone: list[bool]) -> None:
    """Comments below an article, and lists of other articles."""
    for i, line in enumerate(lines):
        bare = line.strip()
        if _COMMENTS.fullmatch(bare) and any(_COMMENT.search(below) for below in lines[i + 1 : i + 9]):
            for j in range(i, len(lines)):
                if _is_prose(lines[j]):
                    break
                gone[j] = True
        elif _RELATED.fullmatch(bare):
            gone[i] = True
            for j in range(i + 1, min(i + 13, len(lines))):
                if (not lines[j].strip() and j > i + 1) or _PROSE.search(lines[j]):
                    break
                gone[j] = True


def _is_residue(bare: str, near_end: bool, lexicon: Lexicon, max_length: int) -> bool:
    if _SCRIPT.search(bare) and not _chinese(bare):
        return True
    if len(bare) > max_length * 2:
        return False
    if _NOVEL.search(bare) or _WHOLE.fullmatch(bare):
        return True
    if len(bare) > max_length:
        return False
    if near_end and (_ENDS.fullmatch(bare) or _NOTICE.match(bare)):
        return True
    return not _PROSE.search(bare) and lexicon.covers(bare)


def _chinese(line: str) -> bool:
    return (len(line.encode()) - len(line)) > len(line)


def _without_lines(text: str, lexicon: Lexicon, max_length: int) -> str:
    lines = text.split("\n")
    solid = [i for i, line in enumerate(lines) if line.strip()]
    near = set(solid[:_HEAD_LINES]) | set(solid[-_TAIL_LINES:])
    gone = [False] * len(lines)
    for i in solid:
        bare = lines[i].strip()
        if not is_mark(bare[0]) or len(bare) > 1:
            gone[i] = _is_residue(bare, i in near, lexicon, max_length)
    _menus(lines, gone)
    _sections(lines, gone)
    if not any(gone):
        return text
    return "\n".join(line for line, out in zip(lines, gone, strict=True) if not out).strip("\n")


@rewrite(
    cuts=True,
    examples=(
        (
            "首页 > 新闻 > 国内\n2023-08-14 12:30 来源：本站\n今天下了一场大雨。\n责任编辑：李四\n上一篇：天晴了",
            "今天下了一场大雨。",
        ),
        (
            "邀请函\n日期：2031年5月6日\n时间：上午9点至11点\n地点：社区礼堂",
            "邀请函\n日期：2031年5月6日\n时间：上午9点至11点\n地点：社区礼堂",
        ),
    ),
)
def drop_lines(texts: pa.Array, *, lexicon: PathName = "page_lines", max_length: int = 60) -> pa.Array:
    """Drop lines of pages that are no text, and sections of them.

    Dropped are paths and menus, bylines with a time or a source, counters, buttons, floors and buttons of forums,
    captions without a sentence, players, notices of copyright and cookies, marks against copying in novels, scripts of
    advertising; also comments below an article and lists of related articles. A line counts as a whole: a sentence that
    mentions the next page stays. What names an editor or a source is dropped at the head or the tail of a text only.
    Code, formulas, tables, headings and lists stay.

    Args:
        texts: String array.
        lexicon: Name of a built-in lexicon or path of a file, with phrases that make most of such a line.
        max_length: Length of the longest line that is looked at, in characters; patterns of bylines and notices look
            at lines of up to twice that length.
    """
    words = load_lexicon(lexicon)

    def without(free: pa.Array) -> pa.Array:
        several = pc.match_substring(free, "\n")
        picked = free.filter(several)
        if not len(picked):
            return free
        hit = _may_hold_residue(picked, words, max_length)
        picked = rewrite_each(picked, lambda s: _without_lines(s, words, max_length), where=hit)
        return pc.replace_with_mask(free, several, picked)

    return outside(_without_scripts(texts), without, Kind.FORMULA | Kind.TABLE | Kind.MARK | Kind.CODE | Kind.VERSE)


def _without_limits(pattern: str) -> str:
    """A pattern of whole lines for RE2 that matches more: numbers of repeats, slow to compile, are gone."""
    return re2("(?i)^(?:" + re.sub(r"\{0,\d+\}", "*", re.sub(r"\{[1-9]\d*,\d+\}", "+", pattern)) + r")\s*$")


_WHOLE_RE2 = _without_limits("|".join([*_ANYWHERE, *_AT_ENDS, _COMMENTS.pattern, _RELATED.pattern]))
_PARTS_RE2 = re2("|".join([*(part for part, _ in _ANYWHERE_FREE), _NOVEL.pattern, _NOTICE.pattern]))
_NO_SENTENCE_RE2 = "^[^，。！？；]*$"


@functools.lru_cache(maxsize=8)
def _phrases_re2(words: Lexicon) -> str:
    return "(?i)" + "|".join(map(re.escape, words.words))


def _may_hold_residue(texts: pa.Array, words: Lexicon, max_length: int) -> pa.Array:
    """Texts with lines that may have to go, boolean, [N]. RE2 reads every line; Python reads the texts that it names.

    Each pattern of a line is one of RE2's, or has a part that such a line must hold.
    """
    pieces = pc.split_pattern(texts, "\n")
    bare = pc.utf8_trim_whitespace(pc.list_flatten(pieces))
    owners = pc.list_parent_indices(pieces).to_numpy()
    length = pc.utf8_length(bare).to_numpy()
    hit = _matches(bare, re2(_SCRIPT.pattern))
    short = (length > 0) & (length <= 2 * max_length)
    few = bare.filter(pa.array(short))
    hit[short] |= _matches(few, _WHOLE_RE2) | _matches(few, _PARTS_RE2)
    hit[short] |= _matches(few, _NO_SENTENCE_RE2) & _matches(few, _phrases_re2(words))
    found = np.bincount(owners, hit, len(texts)) > 0
    tiny = (length > 1) & (length <= _MENU_LENGTH)
    menus = _matches(bare.filter(pa.array(tiny)), _MENU_WORD.pattern)
    return pa.array(found | (np.bincount(owners[tiny], menus, len(texts)) >= _MENU_LINES / 2))


def _matches(lines: pa.Array, pattern: str) -> Flags:
    return np.asarray(pc.match_substring_regex(lines, pattern).to_numpy(zero_copy_only=False), np.bool_)


def _without_scripts(texts: pa.Array) -> pa.Array:
    hit = pc.match_substring_regex(texts, r"adsbygoogle|_hmt|hm\.baidu|cnzz\.com|googletag|google-analytics")
    return rewrite_each(texts, _without_tracking, where=hit)


def _without_tracking(text: str) -> str:
    """The text without lines that load advertising or count visitors, which nobody explains in a fence."""
    if "```" in text:
        return text
    return "\n".join(line for line in text.split("\n") if not _SCRIPT.search(line) or _chinese(line))
