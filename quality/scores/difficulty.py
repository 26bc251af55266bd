"""The stage `difficulty_features`: how hard an instruction is, by rules."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from quality.text.patterns import Array, counted
from quality.text.turns import instruction_of, response_of
from raylib.stage import Outcome, StageInfo, keep_all, register
from raylib.stage.outcome import with_columns

__all__ = ["DifficultyFeatures"]


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
            counted(texts, pattern)
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


register(
    StageInfo(
        name="difficulty_features", make=DifficultyFeatures, kind="score", summary=DifficultyFeatures.__doc__ or ""
    )
)
