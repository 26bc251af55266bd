"""The stage `difficulty_features`: how hard an instruction is, by rules."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from quality.text.patterns import CONSTRAINTS, REASONING, STEPS, counted
from quality.text.turns import instruction_of, response_of
from quality.text.words import segmenter
from raylib.stage import LocalStage, Outcome, keep_all, stage, with_columns

__all__ = ["DifficultyFeatures"]


@functools.lru_cache(maxsize=1)
def _frequencies() -> tuple[dict[str, int], float]:
    """Frequencies of the words in jieba's dictionary, and their sum."""
    import jieba  # noqa: PLC0415 - loads in seconds

    jieba.setLogLevel(60)
    jieba.initialize()
    return jieba.dt.FREQ, float(jieba.dt.total)


def _rarity(text: str) -> float:
    """Mean of -log10 of the relative frequency of Chinese words, and of a proxy by length for Latin ones; 0 to 8."""
    frequencies, total = _frequencies()
    values = []
    for word in segmenter("rjieba")(text[:1000]):
        if not word[0].isalpha() or len(word) < 2:
            continue
        if word.isascii():
            values.append(min(8.0, 2.0 + 0.45 * len(word)))
        else:
            values.append(-np.log10(max(frequencies.get(word, 0), 0.1) / total))
    return float(np.mean(values)) if values else 0.0


def _saturated(values: npt.NDArray[np.number], half: float) -> npt.NDArray[np.float64]:
    """Bring values from 0 up to 0..1, with 0.5 at `half`."""
    return np.asarray(values / (values + half), np.float64)


@stage("difficulty_features", kind="score")
@dataclass(frozen=True)
class DifficultyFeatures(LocalStage):
    """Add cheap signs of difficulty, which need no model, and `difficulty` from 1 to 5 made of them.

    `constraints` counts phrases of the instruction that bind the answer (at most, must, format, 200 words);
    `reasoning` those that ask to explain, prove, compare, design; `steps` steps and logical joints of the response;
    `rare_words` is the mean of -log10 of the relative frequency of words in both (jieba's dictionary; for Latin words
    a proxy by length). `difficulty` is 1 + 4 x the weighted mean of constraints, reasoning, instruction length, steps,
    response length and rarity, each brought to 0..1 by x / (x + half). It is our own heuristic, for a first sorting:
    `ifd` and `judge` say more. What tools returned and how an answer was reasoned do not count.

    Attributes:
        column: Name of the column of the score.
    """

    column: str = "difficulty"

    def __call__(self, table: pa.Table) -> Outcome:
        """Add the columns."""
        instruction, response = (pc.fill_null(a, "") for a in (instruction_of(table), response_of(table)))
        asked = pc.utf8_slice_codeunits(instruction, 0, 4000)
        answered = pc.utf8_slice_codeunits(response, 0, 8000)
        constraints, reasoning, steps = (
            counted(texts, pattern) for texts, pattern in ((asked, CONSTRAINTS), (asked, REASONING), (answered, STEPS))
        )
        pairs = zip(asked.to_pylist(), answered.to_pylist(), strict=True)
        rare = np.array([_rarity(f"{q}\n{a}") for q, a in pairs], np.float64)
        parts = (
            (0.20, _saturated(constraints, 2.0)),
            (0.15, _saturated(reasoning, 1.0)),
            (0.20, _saturated(_information(asked), 60.0)),
            (0.15, _saturated(steps, 4.0)),
            (0.20, _saturated(_information(answered), 200.0)),
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


def _information(texts: pa.Array) -> npt.NDArray[np.float64]:
    """Length in characters, a byte of Latin counted as a third: a Chinese character says as much as three."""
    return np.asarray(pc.binary_length(texts).to_numpy(zero_copy_only=False) / 3.0)
