"""Batches: every row once for any number of workers, and which tokens are targets."""

from __future__ import annotations

from tests.texts import conversations
from training.data.batches import BatchShape, collate, micro_batches
from training.data.rows import rows_of
from training.data.tokenizer import Tokenizer


def test_micro_batches_cover_a_step_for_any_number_of_workers(tokens: dict[str, str]) -> None:
    (source,) = rows_of([tokens["sft"]], 64, packing=True)
    keys = [(0, i) for i in range(min(7, source.count))]
    rows = [source.row(i) for _, i in keys]
    for world, micro in ((1, 8), (2, 2), (4, 1)):
        shape = BatchShape(micro=micro, accumulation=8 // world // micro, pad=0, pairs=False)
        seen = []
        for rank in range(world):
            made = list(micro_batches(rows, keys, shape, rank=rank, world=world))
            assert len(made) == 8 // world // micro, "as many passes on every worker, at the end of the data too"
            seen += [k for b in made for k in b.indices]
        assert sorted(seen) == keys


def test_supervised_tokens_of_a_packed_row_are_the_answers(tokens: dict[str, str], tokenizer: Tokenizer) -> None:
    (source,) = rows_of([tokens["sft"]], 128, packing=True)
    batch = collate([source.row(0)], pad=0, pairs=False)
    answers = {c["messages"][1]["content"] for c in conversations(60)}
    for k in range(int(batch.segments.max()) + 1):
        mask = batch.targets[0] & (batch.segments[0] == k)
        text = tokenizer.decode(batch.ids[0][mask].tolist())
        assert any(text.startswith(a[:10]) or a.startswith(text.strip()[:10]) for a in answers), text
