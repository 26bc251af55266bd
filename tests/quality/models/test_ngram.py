"""The character n-gram model is a probability distribution and equals a plain dictionary's Witten-Bell."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quality.models.ngram import CharacterNgram
from tests.texts import ARTICLE, CLASSICAL, ENGLISH, POEM


def strings(texts: list[str]) -> pa.Array:
    return pa.array(texts, pa.large_string())


class Plain:
    """Witten-Bell by dictionaries, straight from the definition."""

    def __init__(self, order: int, texts: list[str]) -> None:
        self.order = order
        self.after: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for text in texts:
            for i, c in enumerate(text):
                for n in range(min(order, i + 1)):
                    self.after[text[i - n : i]][c] += 1

    def p(self, history: str, c: str, n: int | None = None) -> float:
        n = min(self.order - 1, len(history)) if n is None else n
        lower = self.p(history, c, n - 1) if n > 0 else 1 / 65536
        seen = self.after.get(history[len(history) - n :] if n else "")
        if not seen:
            return lower
        return (seen.get(c, 0) + len(seen) * lower) / (sum(seen.values()) + len(seen))

    def perplexity(self, text: str) -> float:
        return math.exp(-sum(math.log(self.p(text[:i], c)) for i, c in enumerate(text)) / len(text))


@pytest.mark.slow
@settings(max_examples=40)
@given(
    st.lists(st.text(alphabet="天地人ab，", max_size=30), min_size=1, max_size=6),
    st.text(alphabet="天地人abz，", min_size=1, max_size=20),
    st.integers(1, 4),
)
def test_equals_a_plain_implementation(texts: list[str], asked: str, order: int) -> None:
    model = CharacterNgram(order)
    model.add(strings(texts))
    assert model.perplexity(strings([asked]))[0] == pytest.approx(Plain(order, texts).perplexity(asked), rel=1e-9)


def test_adding_in_parts_is_the_same_and_files_round_trip(tmp_path: Path) -> None:
    texts = [ARTICLE, ENGLISH, CLASSICAL, POEM] * 30
    whole, parts = CharacterNgram(4), CharacterNgram(4)
    whole.add(strings(texts))
    for text in texts:
        parts.add(strings([text]))
    path = str(tmp_path / "model.arrow")
    parts.save(path)
    asked = strings([ARTICLE[::-1], ENGLISH[5:90], "没有见过的字：龘", ""])
    for other in (parts, CharacterNgram.load(path)):
        assert np.array_equal(whole.perplexity(asked), other.perplexity(asked), equal_nan=True)
    with pytest.raises(ValueError, match="not a character n-gram model"):
        CharacterNgram.load(str(Path(__file__)))


def test_forgets_rare_ngrams_when_full_and_still_tells_text_from_noise() -> None:
    rng = np.random.default_rng(0)
    model = CharacterNgram(5, max_entries=30_000)
    for _ in range(30):
        noise = "".join(chr(c) for c in rng.integers(0x4E00, 0x9000, 2000))
        model.add(strings([ARTICLE * 5, noise]))
    assert len(model._entries()[0]) < 400_000
    text, scrambled = model.perplexity(strings([ARTICLE, "".join(rng.permutation(list(ARTICLE)))]))
    assert text * 5 < scrambled
