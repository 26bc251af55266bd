"""The stage `instruction_features`: flaws of instructions and responses that rules can find."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cleaning.codepoints import codepoints
from cleaning.language import detect_language
from cleaning.protected import prose_texts
from cleaning.repetition import repeats_of_ngrams
from quality.text.patterns import (
    AI_PHRASE,
    APOLOGY,
    ASKS_ABOUT_AI,
    ASKS_OTHER_LANGUAGE,
    RESIDUE,
    counted,
    is_refusal,
    matches,
)
from quality.text.shown import answer_text
from quality.text.turns import Message, instruction_of, messages_of, response_of, roles_of
from raylib.schema import single_chunk
from raylib.stage import LocalStage, Outcome, keep_all, stage, with_columns

__all__ = ["InstructionFeatures"]


_CLOSING = re.compile(r"[。！？!?.…~～”’\"'）)\]】》」』`}>|：:；;*_\w$%‰℃\u200b]$")
_CUT = re.compile(r"[，,、（(《“‘【\[{<+=/\\—-]$")
_RULE = re.compile(r"\s*[|+:=-][|+:=\s-]+|\s*\|.*\|\s*")  # the border or a row of a table
_HAN_END = re.compile(r"[\u4e00-\u9fff]$")
# A letter ends with `Sincerely,`, a tweet with its tags, a source with its address, a quotation with its author.
_ENDS_WHOLE = re.compile(
    r"(?:(?:^|\n)\s*(?:[A-Z][A-Za-z ]{2,30}|最好的|祝好|此致|敬上|您的|真诚的|谨上)[,，]"
    r"|#\S+|https?://\S+|\w\+\+|——"
    r"|[—–-]{1,2}\s?[\w.·’' ]{2,40}|[\u2580-\u259f\u2600-\u27bf\U0001f000-\U0001faff\ufe0f])$"
)
_LISTED = re.compile(r"\s*(?:\d+\s*[.、):：]|[-*•·])")
_NEEDS_MORE = re.compile(
    r"(?:以及|或者|但是|可是|然而|然后|接着|因为|由于|所以|因此|如果|虽然|尽管|并且|而且|不仅|不但|为了|关于|对于|根据|按照|通过"
    r"|与其|例如|比如|其中|包括|[和与及或在把被对从向给让使将且而的])$"
)
_CUT_AT = 250  # characters: answers that stop at a limit are long, short ones leave out their last full stop


def _truncated(text: str, fenced: bool) -> bool:
    """Whether a response looks cut: it ends in an opening or joining mark, or in the middle of a long sentence."""
    tail = text.rstrip()
    last = tail.rsplit("\n", 1)[-1]
    if not tail or _RULE.fullmatch(last) or (not fenced and _ENDS_WHOLE.search(tail)):
        return False
    if _CUT.search(tail):
        return True
    if fenced or len(tail) < 60 or _LISTED.match(last):
        return False
    if len(tail) < _CUT_AT and not _NEEDS_MORE.search(tail):
        return not _CLOSING.search(tail)
    # lists and verses close their lines with nothing: only a long last line in a text that closes others is cut
    long_line = len(last) > (25 if _HAN_END.search(last) else 80)
    closes = re.search(r"[。！？!?.]", tail[:-1]) is not None
    ends_open = _HAN_END.search(last) is not None or (last[-1].isalpha() and last[-1].islower())
    return (long_line and closes and ends_open) or not _CLOSING.search(tail)


def _role_problem(roles: str) -> str:
    """The first mistake in the order of roles.

    Empty if it is system? developer? (user (assistant tool+)* assistant)+.
    """
    turns = roles.split(" ") if roles else []
    if not turns:
        return ""
    for leading in ("system", "developer"):
        if turns[:1] == [leading]:
            turns = turns[1:]
    if "system" in turns or "developer" in turns:
        return "system_not_first"
    if not turns or turns[0] != "user":
        return "starts_without_user"
    pairs = list(itertools.pairwise(turns))
    if any(a == b != "tool" for a, b in pairs) or ("tool", "user") in pairs:
        return "not_alternating"
    if ("user", "tool") in pairs:
        return "tool_without_call"
    return "" if turns[-1] == "assistant" else "ends_without_answer"


def _answers(roles: str) -> int:
    """Number of questions that were answered: the calls of tools on the way to an answer are none of their own."""
    return _CALLS.sub("", roles).count("assistant")


_CALLS = re.compile(r"assistant(?: tool)+ (?=assistant)")


def _repetition(texts: pa.Array) -> npt.NDArray[np.float64]:
    """Share of character 8-grams that occurred before in the text; 0 for texts under 16 characters."""
    seen, _, grams = repeats_of_ngrams(codepoints(texts), 8)
    share = seen / np.maximum(grams, 1)
    return np.asarray(np.where(grams >= 9, np.round(share, 4), 0.0))


def _of_prose(texts: pa.Array) -> npt.NDArray[np.float64]:
    """Repetition in texts without code and tables; 0 where these are most of a text."""
    prose = prose_texts(texts, never_empty=False)
    lengths = [pc.utf8_length(a).to_numpy(zero_copy_only=False) for a in (prose, texts)]
    return np.where(lengths[0] * 2 >= lengths[1], _repetition(prose), 0.0)


def _is_empty(message: Message) -> bool:
    """Whether a turn says nothing. One that only calls tools says something, and a tool may have nothing to return."""
    return message.get("role") != "tool" and not message.get("tool_calls") and not _content(message)


def _content(message: Message) -> str:
    """What a message says, without white space around it; empty if it has no content."""
    content = message.get("content")
    return content.strip() if isinstance(content, str) else ""


@stage("instruction_features", kind="score")
@dataclass(frozen=True)
class InstructionFeatures(LocalStage):
    """Add flaws of an instruction and its response that rules can find, as columns; nothing is cut.

    Numbers: `instruction_length`, `response_length` (characters), `turns` (answers), `repetition` (share of character
    8-grams of the response that it had before), `empty_turns`. True or false: `language_mismatch` (the response is
    in another language and the instruction does not ask for that), `refusal`, `apology`, `ai_phrase` ("as an AI"),
    `truncated` (no closing mark, or an unbalanced code fence), `template_residue`, `duplicated_answer` (equal to the
    question or to an earlier answer). Text: `role_order`, the first mistake in the order of roles, and `flags`, the
    names of all that are true, joined by commas, to look at or to cut by: `keep_where: flags == ""`.

    The response is the last answer with its calls of tools, without its reasoning. What tools returned counts for the
    order of roles alone; an answer that calls tools first is one turn, and one that only calls tools is not empty.

    Attributes:
        max_repetition: Share of repeated 8-grams above which `flags` names `repetition`.
    """

    max_repetition: float = 0.3

    def __call__(self, table: pa.Table) -> Outcome:
        """Add the columns."""
        instruction, response = (pc.fill_null(a, "") for a in (instruction_of(table), response_of(table)))
        messages = messages_of(table)
        roles = roles_of(table).to_pylist()
        # long texts are judged by their start, except for their end
        heads = pc.utf8_slice_codeunits(response, 0, 4000)
        repetition = _of_prose(single_chunk(heads))
        flags = _flags(instruction, response, heads, messages)
        empty = np.array([sum(map(_is_empty, turns)) for turns in messages], np.int32)
        order = [_role_problem(r) for r in roles]
        shown = {
            **flags,
            "repetition": repetition > self.max_repetition,
            "empty_turns": empty > 0,
            "role_order": np.array([bool(o) for o in order], np.bool_),
        }
        columns: dict[str, pa.Array] = {
            "instruction_length": pc.utf8_length(instruction),
            "response_length": pc.utf8_length(response),
            "turns": pa.array([_answers(r) for r in roles], pa.int32()),
            "repetition": pa.array(repetition),
            "empty_turns": pa.array(empty),
            **{name: pa.array(values.astype(np.bool_)) for name, values in flags.items()},
            "role_order": pa.array(order, pa.string()),
            "flags": _joined_names(shown, len(table)),
        }
        return keep_all(with_columns(table, columns))


def _flags(
    instruction: pa.Array, response: pa.Array, heads: pa.Array, messages: Sequence[Sequence[Message]]
) -> dict[str, npt.NDArray[np.bool_]]:
    """Flaws of N records that are there or not, each `[N]`. `heads` are the starts of the responses."""
    answered = response.to_pylist()
    fences = counted(response, r"(?m)^\s*```") % 2 == 1
    asked = zip(instruction.to_pylist(), answered, messages, strict=True)
    return {
        "language_mismatch": _mismatch(instruction, response),
        "refusal": is_refusal(response),
        "apology": matches(heads, APOLOGY),
        "ai_phrase": matches(heads, AI_PHRASE) & ~matches(instruction, ASKS_ABOUT_AI),
        "truncated": fences | np.array([_truncated(t, "```" in t) for t in answered], np.bool_),
        "template_residue": matches(instruction, RESIDUE) | matches(heads, RESIDUE),
        "duplicated_answer": np.array([_duplicated(q, a, m) for q, a, m in asked], np.bool_),
    }


def _mismatch(instruction: pa.Array, response: pa.Array) -> npt.NDArray[np.bool_]:
    """Whether a response is in another language and the instruction does not ask for that."""
    excused = matches(instruction, ASKS_OTHER_LANGUAGE) | ~_sentences(response)
    lengths = [pc.utf8_length(a).to_numpy(zero_copy_only=False) for a in (instruction, response)]
    # a word or two say nothing reliable of their language
    judged = np.flatnonzero(~excused & (lengths[0] >= 6) & (lengths[1] >= 6))
    out = np.zeros(len(response), np.bool_)
    if len(judged):
        parts = (a.take(pa.array(judged)) for a in (instruction, response))
        heads = (single_chunk(pc.utf8_slice_codeunits(part, 0, 400)) for part in parts)
        asked, answered = (np.asarray(detect_language(h), dtype=object) for h in heads)
        scripts = [np.array([_script(c) for c in codes]) for codes in (asked, answered)]
        nothing = ("und", "code", "math")
        known = ~np.isin(asked, nothing) & ~np.isin(answered, nothing)
        other = np.isin(scripts[0], ("ja", "ko")) | np.isin(scripts[1], ("ja", "ko"))
        pure = _of_one_script(instruction.take(pa.array(judged)), response.take(pa.array(judged)))
        out[judged] = known & (scripts[0] != scripts[1]) & (other | pure)
    return out


def _of_one_script(asked: pa.Array, answered: pa.Array) -> npt.NDArray[np.bool_]:
    """Whether a question has no word of the other script, and its answer next to none of its own."""
    answered = prose_texts(single_chunk(answered))
    han, words = ([counted(a, pattern) for a in (asked, answered)] for pattern in (_HAN_RE2, r"[A-Za-z]{2,}"))
    chinese = (han[0] >= _WORDS) & (words[0] == 0) & (words[1] >= 2 * _WORDS) & (han[1] * 10 < words[1])
    english = (words[0] >= _WORDS) & (han[0] == 0) & (han[1] >= 2 * _WORDS) & (words[1] * 10 < han[1])
    return np.asarray(chinese | english)


_HAN_RE2 = r"[\x{4e00}-\x{9fff}]"
_WORDS = 4


_ENGLISH_WORDS = r"(?i)\b(the|a|an|is|are|was|of|to|and|in|that|it|for|you|with|this)\b"


def _sentences(texts: pa.Array) -> npt.NDArray[np.bool_]:
    """Whether texts are sentences, in Chinese or of a dozen words: lists of words and formulas have no language."""
    latin = counted(texts, "[A-Za-z]{2,}")
    return (counted(texts, r"[\x{4e00}-\x{9fff}]") * 2 > latin) | (
        (latin >= 12) & (counted(texts, _ENGLISH_WORDS) * 8 >= latin)
    )


def _script(code: str) -> str:
    """The language zh, ja or ko, or `other`: the statistical model cannot tell short Latin texts apart reliably."""
    if code in ("zh-Hant", "lzh", "yue"):
        return "zh"
    return code if code in ("zh", "ja", "ko") else "other"


def _duplicated(question: str, answer: str, messages: Sequence[Message]) -> bool:
    """Whether an answer of 8 characters or more repeats the question or an earlier answer."""
    stripped = answer.strip()
    if not stripped:
        return False
    if len(stripped) >= 8 and stripped == question.strip():
        return True
    answers = [answer_text(m).strip() for m in messages if m.get("role") == "assistant"]
    return len(stripped) >= 8 and stripped in answers[:-1]


def _joined_names(flags: Mapping[str, npt.NDArray[np.bool_]], count: int) -> pa.Array:
    """Names of the flags that are set for each record, joined by commas."""
    columns = sorted(flags.items())
    return pa.array([",".join(n for n, c in columns if c[i]) for i in range(count)], pa.string())
