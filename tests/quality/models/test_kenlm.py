"""KenLM models are read."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

ARPA = """\\data\\
ngram 1=5
ngram 2=2

\\1-grams:
-1.0\t<unk>
-99\t<s>\t-0.3
-0.7\t</s>
-0.5\t茶\t-0.2
-0.9\t山

\\2-grams:
-0.1\t<s> 茶
-0.4\t茶 山

\\end\\
"""


def strings(texts: list[str]) -> pa.Array:
    return pa.array(texts, pa.large_string())


def test_kenlm_models_are_read(tmp_path: Path) -> None:
    from quality.scores.perplexity import Perplexity

    pytest.importorskip("kenlm", reason="KenLM needs a compiler")
    path = tmp_path / "model.arpa"
    path.write_text(ARPA, "utf-8")
    table = pa.table({"id": ["a", "b"], "text": strings(["茶 山", ""])})
    value, none = Perplexity(str(path))(table).kept["perplexity"].to_pylist()
    assert value == pytest.approx(10 ** ((0.1 + 0.4 + 0.7) / 3), rel=1e-4), "<s> 茶, 茶 山, and the end"
    assert none is None
    (tmp_path / "broken.klm").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="not a KenLM model"):
        Perplexity(str(tmp_path / "broken.klm"))(table)
