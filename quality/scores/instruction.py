"""Rule features of instructions and responses: what is wrong with them, and how much they ask for."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from quality.text.patterns import Array, counted, is_refusal, matches
from quality.text.turns import instruction_of, response_of, roles_of
from raylib.schema import single_chunk
from raylib.stage import Outcome, StageInfo, keep_all, register
from raylib.stage.outcome import with_columns

__all__ = ["InstructionFeatures"]


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
        fences = counted(response, r"(?m)^\s*```") % 2 == 1
        repetition = _repetition(heads)
        flags: dict[str, Array] = {
            "language_mismatch": self._mismatch(instruction, response),
            "refusal": is_refusal(response),
            "apology": matches(heads, _APOLOGY),
            "ai_phrase": matches(heads, _AI_PHRASE),
            "truncated": fences | np.array([_truncated(t, "```" in t) for t in answered], np.bool_),
            "template_residue": matches(instruction, _RESIDUE) | matches(heads, _RESIDUE),
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

        excused = matches(instruction, _ASKS_OTHER_LANGUAGE)
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


register(
    StageInfo(
        name="instruction_features", make=InstructionFeatures, kind="score", summary=InstructionFeatures.__doc__ or ""
    )
)
