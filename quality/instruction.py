"""Rule features of instructions and responses: what is wrong with them, and how much they ask for."""

from __future__ import annotations

import functools
import itertools
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from quality.columns import with_columns
from quality.turns import instruction_of, response_of, roles_of
from raylib.schema import single_chunk
from raylib.stage import Outcome, StageInfo, keep_all, register

__all__ = ["DifficultyFeatures", "InstructionFeatures", "is_refusal"]

Array = np.ndarray[Any, Any]

_REFUSAL = (
    r"(?i)(我|本人|作为[^。，]{0,20})?(无法|不能|不可以|不会|没有办法|没办法|拒绝)(为您?你?|向您?你?|给您?你?)?"
    r"(提供|回答|协助|帮助|满足|完成您|完成你|支持|参与|执行|讨论|透露)"
    r"|(恕|请恕)我?(无法|不能|难以)|(请求|问题|要求|内容)(是)?(违法|不合法|不道德|不恰当|不适当)的?"
    r"|\b(i|we)(['’]m| am| are|['’]re)? (sorry|afraid|unable|not able)\b.{0,60}\b(can(not|['’]t)|unable|not able|won['’]t)\b"
    r"|\bi (cannot|can['’]t|can not|won['’]t|am unable to|am not able to) (help|assist|provide|answer|comply|support|fulfil|create|generate|do that)"
)
_APOLOGY = r"(?i)抱歉|对不起|很遗憾|不好意思|\b(sorry|apologi[sz]e|apologies|unfortunately)\b"
_AI_PHRASE = (
    r"(?i)作为(一个|一名|一款|一种)?(大型|大)?(人工智能|语言模型|ai|聊天机器人|智能助手|虚拟助手)"
    r"|我(只)?是(一个|一名|一款)?(大型|大)?(人工智能|语言模型|ai\b|聊天机器人|智能助手)"
    r"|\bas an? (ai|artificial intelligence|(large )?language model)\b|\bi['’]?( a)?m (just |only )?an? (ai|language model)\b"
    r"|\b(chatgpt|openai)\b"
)
_RESIDUE = (
    r"(?i)###\s*(instruction|response|input|指令|回答|输入)|<\|[a-z_]+\|>|\[/?INST\]|<</?SYS>>|</?s>"
    r"|below is an instruction|以下是(一条)?描述任务的指令|写一个(适当地)?完成请求的(回复|回答)"
    r"|^\s*(human|assistant|user|用户|助手)\s*[:：]|\{\{[^{}]{0,40}\}\}|\bno ?input\b|^\s*(无输入|没有输入|<无输入>|无需输入)"
)
_CLOSING = re.compile(r"[。！？!?.…~～”’\"'）)\]】》」』`}>|：:；;*_\w]$")
_CUT = re.compile(r"[，,、（(《“‘【\[{<+=/\\—-]$")
_HAN_END = re.compile(r"[\u4e00-\u9fff]$")
_ASKS_OTHER_LANGUAGE = (
    r"(?i)翻译|译成|译为|英文|英语|用中文|汉语|日语|法语|德语|西班牙语|韩语|俄语|代码|编程|程序|函数|sql|python|java|html|正则"
    r"|translat|chinese|english|spanish|french|german|japanese|korean|code|program|function|script"
)


def is_refusal(texts: pa.Array) -> Array:
    """Whether the start (400 characters) of each text declines to do what was asked; bool, shape (n,)."""
    heads = pc.utf8_slice_codeunits(pc.fill_null(texts, ""), 0, 400)
    return pc.match_substring_regex(heads, _REFUSAL).to_numpy(zero_copy_only=False)


def _matches(texts: pa.Array, pattern: str) -> Array:
    return pc.match_substring_regex(texts, pattern).to_numpy(zero_copy_only=False)


def _counted(texts: pa.Array, pattern: str) -> Array:
    return pc.count_substring_regex(texts, pattern).to_numpy(zero_copy_only=False)


def _truncated(text: str, fenced: bool) -> bool:
    """Whether a response looks cut: it ends in an opening or joining mark, or in the middle of a long sentence."""
    tail = text.rstrip()
    if not tail:
        return False
    if _CUT.search(tail):
        return True
    if fenced or len(tail) < 60:
        return False
    last = tail.rsplit("\n", 1)[-1]
    # lists and verses close their lines with nothing: only a long last line in a text that closes others is cut
    long_line = len(last) > (25 if _HAN_END.search(last) else 80)
    closes = re.search(r"[。！？!?.]", tail[:-1]) is not None
    ends_open = _HAN_END.search(last) is not None or (last[-1].isalpha() and last[-1].islower())
    return (long_line and closes and ends_open) or not _CLOSING.search(tail)


def _role_problem(roles: str) -> str:
    """The first thing wrong with the order of roles; empty when it is system? (user assistant)+."""
    turns = roles.split(" ") if roles else []
    if not turns:
        return ""
    if turns[0] == "system":
        turns = turns[1:]
    if "system" in turns:
        return "system_not_first"
    if not turns or turns[0] != "user":
        return "starts_without_user"
    plain = [t for t in turns if t != "tool"]
    if any(a == b for a, b in itertools.pairwise(plain)):
        return "not_alternating"
    return "" if turns[-1] == "assistant" else "ends_without_answer"


def _repetition(texts: pa.Array) -> Array:
    """Share of character 8-grams that occurred before in the text; 0 for texts under 16 characters."""
    from cleaning.codepoints import codepoints
    from cleaning.repetition import repeats_of_ngrams

    seen, _, grams = repeats_of_ngrams(codepoints(texts), 8)
    share = seen / np.maximum(grams, 1)
    return np.asarray(np.where(grams >= 9, np.round(share, 4), 0.0))


def _messages(table: pa.Table) -> list[list[dict[str, str]]]:
    for name in ("messages", "prompt"):
        if name in table.column_names:
            return [turns or [] for turns in table[name].to_pylist()]
    return [[] for _ in range(len(table))]


@dataclass(frozen=True)
class InstructionFeatures:
    """Add what rules can tell of an instruction and its response, as columns; nothing is cut.

    Numbers: `instruction_length`, `response_length` (characters), `turns` (answers), `repetition` (share of character
    8-grams of the response that it had before), `empty_turns`. True or false: `language_mismatch` (the response is
    in another language and the instruction does not ask for that), `refusal`, `apology`, `ai_phrase` ("as an AI"),
    `truncated` (no closing mark, or an unbalanced code fence), `template_residue`, `duplicated_answer` (equal to the
    question or to an earlier answer). Text: `role_order`, what is wrong with the order of roles, and `flags`, the
    names of all that are true, joined by commas, for a look or a cut: `keep_where: flags == ""`.
    """

    max_repetition: float = 0.3

    def __call__(self, table: pa.Table) -> Outcome:
        instruction, response = (pc.fill_null(a, "") for a in (instruction_of(table), response_of(table)))
        asked, answered = instruction.to_pylist(), response.to_pylist()
        messages = _messages(table)
        roles = roles_of(table).to_pylist()
        # long texts are judged by their start, except for their end
        heads = pc.utf8_slice_codeunits(response, 0, 4000)
        fences = _counted(response, r"(?m)^\s*```") % 2 == 1
        repetition = _repetition(heads)
        flags: dict[str, Array] = {
            "language_mismatch": self._mismatch(instruction, response),
            "refusal": is_refusal(response),
            "apology": _matches(heads, _APOLOGY),
            "ai_phrase": _matches(heads, _AI_PHRASE),
            "truncated": fences | np.array([_truncated(t, "```" in t) for t in answered], np.bool_),
            "template_residue": _matches(instruction, _RESIDUE) | _matches(heads, _RESIDUE),
            "duplicated_answer": np.array([_duplicated(q, a, m) for q, a, m in zip(asked, answered, messages, strict=True)], np.bool_),
        }  # fmt: skip
        empty = np.array([sum(not (m["content"] or "").strip() for m in turns) for turns in messages], np.int32)
        order = [_role_problem(r) for r in roles]
        shown = {**flags, "repetition": repetition > self.max_repetition, "empty_turns": empty > 0, "role_order": np.array([bool(o) for o in order], np.bool_)}  # fmt: skip
        columns: dict[str, Any] = {
            "instruction_length": pc.utf8_length(instruction),
            "response_length": pc.utf8_length(response),
            "turns": pa.array([r.count("assistant") for r in roles], pa.int32()),
            "repetition": pa.array(repetition),
            "empty_turns": pa.array(empty),
            **{name: pa.array(values.astype(np.bool_)) for name, values in flags.items()},
            "role_order": pa.array(order, pa.string()),
            "flags": _joined_names(shown, len(table)),
        }
        return keep_all(with_columns(table, columns))

    @staticmethod
    def _mismatch(instruction: pa.Array, response: pa.Array) -> Array:
        from cleaning.language import detect_language

        excused = _matches(instruction, _ASKS_OTHER_LANGUAGE)
        lengths = [pc.utf8_length(a).to_numpy(zero_copy_only=False) for a in (instruction, response)]
        # a word or two say nothing reliable of their language
        judged = np.flatnonzero(~excused & (lengths[0] >= 6) & (lengths[1] >= 6))
        out = np.zeros(len(response), np.bool_)
        if len(judged):
            heads = [single_chunk(pc.utf8_slice_codeunits(a.take(pa.array(judged)), 0, 400)) for a in (instruction, response)]  # fmt: skip
            asked, answered = (np.asarray(detect_language(h), dtype=object) for h in heads)
            scripts = [np.array([_script(c) for c in codes]) for codes in (asked, answered)]
            known = (asked != "und") & (answered != "und")
            out[judged] = known & (scripts[0] != scripts[1])
        return out


def _script(code: str) -> str:
    """zh, ja, ko, or latin: the statistical model is not sure enough to tell short Latin texts apart."""
    return code if code in ("zh", "ja", "ko") else "other"


def _duplicated(question: str, answer: str, messages: list[dict[str, str]]) -> bool:
    stripped = answer.strip()
    if not stripped:
        return False
    if len(stripped) >= 8 and stripped == question.strip():
        return True
    answers = [(m["content"] or "").strip() for m in messages if m["role"] == "assistant"]
    return len(stripped) >= 8 and stripped in answers[:-1]


def _joined_names(flags: dict[str, Array], count: int) -> pa.Array:
    names = sorted(flags)
    columns = [flags[n] for n in names]
    return pa.array([",".join(n for n, c in zip(names, columns, strict=True) if c[i]) for i in range(count)], pa.string())  # fmt: skip


_CONSTRAINTS = (
    r"(?i)不超过|不少于|不得|至少|至多|最多|必须|务必|只能|不要|不能使用|字以内|字左右|\d+\s*(个?字|词|句|段|行|点|条|步|种)|格式|按照|遵循|包含以下|分别|依次|押韵|风格|语气|表格|json|markdown|xml|yaml"
    r"|\b(at least|at most|no more than|no fewer than|must|only|exactly|without|avoid|include|format|in the style|limit|between \d+|\d+ (words|sentences|paragraphs|steps|points|lines|items|examples)|ensure|each)\b"
)
_STEPS = (
    r"(?im)^\s*(\d{1,2}[.、)）:：]|[-*•]\s|step \d|第[一二三四五六七八九十]+[步条点]|[一二三四五六七八九十]、)|首先|其次|然后|接着|最后|因此|所以|综上"
    r"|\b(first|second|third|next|then|finally|therefore|thus|because|hence)\b"
)
_REASONING = (
    r"(?i)为什么|如何|怎样|证明|推导|计算|分析|比较|对比|评价|解释|设计|优化|算法|论述|原因|区别|影响|策略|方案"
    r"|\b(why|how|prove|derive|calculate|compute|analy[sz]e|compare|contrast|evaluate|explain|design|optimi[sz]e|algorithm|argue|difference|implications?|strategy|critique|infer)\b"
)


@functools.lru_cache(maxsize=1)
def _frequencies() -> tuple[dict[str, int], float]:
    """jieba's dictionary: word frequencies and their sum."""
    import jieba

    jieba.setLogLevel(60)
    jieba.initialize()
    return jieba.dt.FREQ, float(jieba.dt.total)


def _rarity(text: str) -> float:
    """Mean of -log10 of the relative frequency of Chinese words, and of a proxy by length for Latin ones; 0 to 8."""
    import rjieba

    frequencies, total = _frequencies()
    values = []
    for word in rjieba.cut(text[:1000]):
        if not word[0].isalpha() or len(word) < 2:
            continue
        if word.isascii():
            values.append(min(8.0, 2.0 + 0.45 * len(word)))
        else:
            values.append(-np.log10(max(frequencies.get(word, 0), 0.1) / total))
    return float(np.mean(values)) if values else 0.0


def _saturated(values: Array, half: float) -> Array:
    """0 to 1, 0.5 at `half`."""
    return values / (values + half)


@dataclass(frozen=True)
class DifficultyFeatures:
    """Add cheap signs of difficulty, which need no model, and `difficulty` from 1 to 5 made of them.

    `constraints`: phrases of the instruction that bind the answer (at most, must, format, 200 words); `reasoning`:
    those that ask to explain, prove, compare, design; `steps`: steps and logical joints of the response;
    `rare_words`: mean of -log10 of the relative frequency of words in both (jieba's dictionary; for Latin words a
    proxy by length). `difficulty` = 1 + 4 x the weighted mean of constraints, reasoning, instruction length, steps,
    response length and rarity, each brought to 0..1 by x / (x + half). A heuristic of ours, for sorting before
    anything better is at hand: `ifd` or `judge` say more.
    """

    column: str = "difficulty"

    def __call__(self, table: pa.Table) -> Outcome:
        instruction, response = (pc.fill_null(a, "") for a in (instruction_of(table), response_of(table)))
        asked = pc.utf8_slice_codeunits(instruction, 0, 4000)
        answered = pc.utf8_slice_codeunits(response, 0, 8000)
        constraints, reasoning, steps = (
            _counted(texts, pattern)
            for texts, pattern in ((asked, _CONSTRAINTS), (asked, _REASONING), (answered, _STEPS))
        )
        lengths = [self._information(a) for a in (asked, answered)]
        pairs = zip(asked.to_pylist(), answered.to_pylist(), strict=True)
        rare = np.array([_rarity(f"{q}\n{a}") for q, a in pairs], np.float64)
        parts = (
            (0.20, _saturated(constraints, 2.0)),
            (0.15, _saturated(reasoning, 1.0)),
            (0.20, _saturated(lengths[0], 60.0)),
            (0.15, _saturated(steps, 4.0)),
            (0.20, _saturated(lengths[1], 200.0)),
            (0.10, np.clip((rare - 3.0) / 3.0, 0.0, 1.0)),
        )
        score = 1.0 + 4.0 * sum((weight * part for weight, part in parts), np.zeros(len(table)))
        columns = {
            "constraints": pa.array(constraints.astype(np.int32)),
            "reasoning": pa.array(reasoning.astype(np.int32)),
            "steps": pa.array(steps.astype(np.int32)),
            "rare_words": pa.array(np.round(rare, 4)),
            self.column: pa.array(np.round(score, 4)),
        }
        return keep_all(with_columns(table, columns))

    @staticmethod
    def _information(texts: pa.Array) -> Array:
        """Length in characters, a byte of Latin counted as a third: a Chinese character says as much as three."""
        return np.asarray(pc.binary_length(texts).to_numpy(zero_copy_only=False) / 3.0)


for _name, _make in (("instruction_features", InstructionFeatures), ("difficulty_features", DifficultyFeatures)):
    register(StageInfo(name=_name, make=_make, kind="score", summary=_make.__doc__ or ""))
