"""Patterns that several scores look for in instructions and answers, and how they are counted."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

__all__ = [
    "AI_PHRASE",
    "APOLOGY",
    "ASKS_ABOUT_AI",
    "ASKS_OTHER_LANGUAGE",
    "CONSTRAINTS",
    "REASONING",
    "RESIDUE",
    "STEPS",
    "counted",
    "discusses",
    "dissuades",
    "is_refusal",
    "matches",
]

_REFUSAL = (
    r"(?i)(我|本人|作为[^。，]{0,20})?(无法|不能|不可以|不会|没有办法|没办法|拒绝)(为您?你?|向您?你?|给您?你?)?"
    r"(提供|回答|协助|帮助|满足|完成您|完成你|支持|参与|执行|讨论|透露)"
    r"|(恕|请恕)我?(无法|不能|难以)|(请求|问题|要求|内容)(是)?(违法|不合法|不道德|不恰当|不适当)的?"
    r"|\b(i|we)(['’]m| am| are|['’]re)? (sorry|afraid|unable|not able)\b.{0,60}\b(can(not|['’]t)|unable|not able|won['’]t)\b"
    r"|\bi (cannot|can['’]t|can not|won['’]t|am unable to|am not able to) (help|assist|provide|answer|comply|support|fulfil|create|generate|do that)"
)
# an answer that says so dissuades; it needs the harmful words to do it
_DISSUADES = (
    r"(?i)^.{0,40}我(们)?都?(不能|无法|不会|不可以|不应该?|拒绝|不支持|不赞成|不鼓励|不建议)|(是|属于|都是|也是)(严重的?|极其|非常|一种)?(违法|非法|犯罪|不道德|违反|错误|不可接受|危险|有害)|违法(犯罪)?行为|法律(后果|责任|制裁)|寻求(专业)?帮助|(拨打|联系).{0,12}(热线|警方|报警)"
    r"|\b(is|are) (illegal|unethical|wrong|dangerous|a crime)\b|seek (professional )?help"
)
APOLOGY = r"(?i)抱歉|对不起|很遗憾|不好意思|\b(sorry|apologi[sz]e|apologies|unfortunately)\b"
# said of oneself: 它作为语言模型 explains what another one is
AI_PHRASE = (
    r"(?i)(^|[。！？，,\n我])\s?作为(一个|一名|一款|一种)?(大型|大)?(人工智能|语言模型|ai|聊天机器人|智能助手|虚拟助手)[^。！？]{0,20}我"
    r"|我作为(一个|一名|一款|一种)?(大型|大)?(人工智能|语言模型|ai|聊天机器人|智能助手|虚拟助手)|我(只)?是(一个|一名|一款)?(大型|大)?(人工智能|语言模型|ai\b|聊天机器人|智能助手)"
    r"|\bas an? (ai|artificial intelligence|(large )?language model)\b|\bi['’]?( a)?m (just |only )?an? (ai|language model)\b"
    r"|\bi['’]?( a)?m (chatgpt|an? .{0,20}by openai)\b|\b(developed|trained|created) by openai\b|由\s?openai\s?(开发|训练|创建)"
)
# who asks about models, or asks the model who it is, gets such words for an answer
ASKS_ABOUT_AI = r"(?i)gpt|openai|人工智能|语言模型|大模型|机器人|聊天助手|你是谁|你叫什么|介绍.{0,4}(你|自己)|\bai\b|who are you|language model|chatbot"
RESIDUE = (
    r"(?i)###\s*(instruction|response|input|指令|回答|输入)|<\|[a-z_]+\|>|\[/?INST\]|<</?SYS>>|</?s>"
    r"|below is an instruction|以下是(一条)?描述任务的指令|写一个(适当地)?完成请求的(回复|回答)"
    r"|^\s*(human|assistant|user|用户|助手)\s*[:：]|\{\{[^{}]{0,40}\}\}|\bno ?input\b|^\s*(无输入|没有输入|<无输入>|无需输入)"
)
ASKS_OTHER_LANGUAGE = (
    r"(?i)脚本|算法|单词|词汇|拼写|缩写|字母|句子.{0,6}(改|填|造)|命令|网址|网站|邮箱|变量|公式|化简|方程|表达式|json|xml|css|shell|正则|数据库|查询|翻译|译成|译为|英文|英语|用中文|汉语|日语|法语|德语|西班牙语|韩语|俄语|代码|编程|程序|函数|sql|python|java|html|正则"
    r"|translat|chinese|english|spanish|french|german|japanese|korean|code|program|function|script"
)
# phrases that bind the answer, structure it, or ask for more than recall: the signs of `difficulty_features`
CONSTRAINTS = (
    r"(?i)不超过|不少于|不得|至少|至多|最多|必须|务必|只能|不要|不能使用|字以内|字左右|\d+\s*(个?字|词|句|段|行|点|条|步|种)|格式|按照|遵循|包含以下|分别|依次|押韵|风格|语气|表格|json|markdown|xml|yaml"
    r"|\b(at least|at most|no more than|no fewer than|must|only|exactly|without|avoid|include|format|in the style|limit|between \d+|\d+ (words|sentences|paragraphs|steps|points|lines|items|examples)|ensure|each)\b"
)
STEPS = (
    r"(?im)^\s*(\d{1,2}[.、)）:：]|[-*•]\s|step \d|第[一二三四五六七八九十]+[步条点]|[一二三四五六七八九十]、)|首先|其次|然后|接着|最后|因此|所以|综上"
    r"|\b(first|second|third|next|then|finally|therefore|thus|because|hence)\b"
)
REASONING = (
    r"(?i)为什么|如何|怎样|证明|推导|计算|分析|比较|对比|评价|解释|设计|优化|算法|论述|原因|区别|影响|策略|方案"
    r"|\b(why|how|prove|derive|calculate|compute|analy[sz]e|compare|contrast|evaluate|explain|design|optimi[sz]e|algorithm|argue|difference|implications?|strategy|critique|infer)\b"
)


# A text that names crimes to judge, to prevent or to teach: law, security, first aid, history, school.
_DISCUSSES = (
    r"构成|共犯|既遂|未遂|定罪|量刑|刑法|[^\s]罪[的，。；名]|刑事责任|民事责任|承担.{0,6}责任|处罚|判处|有期徒刑|法院|司法|律师|警方|公安|"
    r"防范|预防|防护|补丁|备份数据|杀毒|不容忍|抵制|举报|报警|受害|"
    r"不可取|犯罪行为|违法行为|不当行为|尊重他人|不要.{0,12}(侮辱|歧视|散布|攻击|伤害|威胁|骚扰|欺凌)|"
    r"\b(prevent(s|ion|ing)?|illegal|crimes?|victims?|awareness)\b"
)
# Words that stand in any text, also in one that teaches harm ("避免被发现"): two kinds of them make a discussion.
_DISCUSSES_WEAKLY = (
    r"避免|防止",
    r"保护|应对|求助",
    r"反对|禁止|打击",
    r"教育|宣传",
    r"历史|研究",
    r"小说|电影",
    r"\b(avoid|protect|report)\b",
    r"\b(law|court|security)\b",
)


def discusses(texts: pa.Array) -> npt.NDArray[np.bool_]:
    """Whether each of N texts speaks of harm to judge it, to prevent it or to teach about it, `[N]`."""
    given = pc.fill_null(texts, "")
    weak = sum(matches(given, pattern).astype(np.int8) for pattern in _DISCUSSES_WEAKLY)
    return np.asarray(matches(given, _DISCUSSES) | (weak >= 2))


def is_refusal(texts: pa.Array) -> npt.NDArray[np.bool_]:
    """Whether the start (400 characters) of each of N texts declines to do what was asked, `[N]`."""
    return _head_matches(texts, 400, _REFUSAL)


def dissuades(texts: pa.Array) -> npt.NDArray[np.bool_]:
    """Whether the start (600 characters) of each of N texts warns against what was asked, `[N]`."""
    return _head_matches(texts, 600, _DISSUADES)


def _head_matches(texts: pa.Array, characters: int, pattern: str) -> npt.NDArray[np.bool_]:
    """Whether the first characters of each text match."""
    return matches(pc.utf8_slice_codeunits(pc.fill_null(texts, ""), 0, characters), pattern)


def matches(texts: pa.Array, pattern: str) -> npt.NDArray[np.bool_]:
    """Whether each of N texts matches a pattern of RE2, `[N]`."""
    found: npt.NDArray[np.bool_] = pc.match_substring_regex(texts, pattern).to_numpy(zero_copy_only=False)
    return found


def counted(texts: pa.Array, pattern: str) -> npt.NDArray[np.integer]:
    """How often each of N texts matches a pattern of RE2, `[N]`."""
    found: npt.NDArray[np.integer] = pc.count_substring_regex(texts, pattern).to_numpy(zero_copy_only=False)
    return found
