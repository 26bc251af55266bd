"""An input of some 30 MB with duplicates, stages for it, and what a run of them left."""

from __future__ import annotations

import random
from pathlib import Path

import orjson

from tests.texts import ARTICLE

_HAN = [chr(code) for code in range(0x4E00, 0x5E00)]
STAGES = """
  - normalise_characters
  - remove_repeats
  - repetition
  - length: {min: 20}
  - exact_dedup
  - minhash_dedup
  - drop_unfinished_tail
"""


def make_input(path: Path, count: int) -> None:
    """Documents of which a third are exact or near copies, and one line that cannot be read."""
    rng = random.Random(7)
    sentences = [s + "。" for s in ARTICLE.replace("\n", "").split("。") if s]
    earlier: list[str] = []
    with path.open("wb") as stream:
        for i in range(count):
            text = "".join(rng.choices(sentences, k=4)) + "".join(rng.choices(_HAN, k=100)) + "。"
            earlier.append(text)
            if i % 3 == 0:  # an exact or a near copy
                text = rng.choice(earlier) + ("" if i % 2 else "转载。")
            stream.write(orjson.dumps({"id": f"{i:06d}", "text": text}) + b"\n")
        stream.write(b'{"id": "cut", "text": "')


def content(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for d in ("kept", "rejected") for p in sorted((out / d).iterdir())}
