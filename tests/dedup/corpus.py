"""Records with near copies, for tests of deduplication."""

from __future__ import annotations

import random
from typing import Any

from tests.texts import ARTICLE, POEM

SENTENCES = [s + "。" for s in (ARTICLE + POEM).replace("\n", "").split("。") if s]


def edited(text: str, rng: random.Random, rate: float) -> str:
    return "".join(rng.choice("的一是不了人我在有他") if rng.random() < rate else c for c in text)


def corpus(n: int = 300) -> list[dict[str, Any]]:
    rng = random.Random(5)
    out: list[dict[str, Any]] = []
    for i in range(n):
        text = "".join(rng.choices(SENTENCES, k=10)) + "".join(chr(rng.randrange(0x4E00, 0x9000)) for _ in range(120))
        out.append({"id": f"{i:04d}-a", "source": "x", "text": text})
        if i % 3 == 0:
            out.append({"id": f"{i:04d}-b", "source": "y", "text": edited(text, rng, 0.01) + "。"})
        if i % 9 == 0:
            out.append({"id": f"{i:04d}-c", "source": "y", "text": text.replace("，", ",").replace("。", ".")})
    rng.shuffle(out)
    return out
