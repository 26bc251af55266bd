"""Templates, token files and batches: what is a target, in which order rows come, what sees what."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from raylib.errors import RecordError, TrainingError
from tests.texts import ARTICLE, conversations
from tests.training.setup import SHAPES, pairs, write
from training.config import ModelConfig, TrainConfig
from training.data.batches import collate, micro_batches
from training.data.counting import count_tokens
from training.data.order import RowStream, _shuffled
from training.data.rows import Row, Rows, rows_of
from training.data.templates import TEMPLATES, Renderer
from training.data.token_set import TokenSet
from training.data.tokens import TokenOptions, tokenize
from training.model.build import build_model
from training.objectives import Scorer

Write = Callable[..., Path]
CHAT = [
    {"role": "system", "content": "你是茶艺师。"},
    {"role": "user", "content": "绿茶怎么泡？"},
    {"role": "assistant", "content": "水不宜太烫。"},
    {"role": "user", "content": "为什么？"},
    {"role": "assistant", "content": "怕苦。"},
]


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path) -> Any:
    made = AutoTokenizer.from_pretrained(tiny_model)
    return made


@pytest.mark.parametrize("template", ["auto", *TEMPLATES])
def test_trap_08_09_12_targets_are_answers_and_their_end_and_nothing_else(tokenizer: Any, template: str) -> None:
    made = Renderer(tokenizer, template).conversation(CHAT)
    groups: list[list[int]] = []
    for i, target in enumerate(made.targets):
        if target and (i == 0 or not made.targets[i - 1]):
            groups.append([])
        if target:
            groups[-1].append(made.ids[i])
    said = [tokenizer.decode(g) for g in groups]
    end = Renderer(tokenizer, template)._end()
    assert [s.removesuffix(end).strip() for s in said] == ["水不宜太烫。", "怕苦。"]
    assert all(s.endswith(end) and end for s in said), "the end of a turn is learnt, on the turn that it ends"
    rest = tokenizer.decode([i for i, t in zip(made.ids, made.targets, strict=True) if not t])
    assert "怕苦" not in rest and "绿茶怎么泡" in rest


@pytest.mark.parametrize("template", ["auto", *TEMPLATES])
def test_trap_10_11_14_prompts_are_the_same_tokens_at_training_and_inference(tokenizer: Any, template: str) -> None:
    renderer = Renderer(tokenizer, template)
    whole = renderer.conversation(CHAT)
    prompt = renderer.prompt(CHAT[:-1])
    assert whole.ids[: len(prompt)] == prompt
    assert whole.ids[len(prompt) :][: len(renderer.answer("怕苦。"))] == renderer.answer("怕苦。")
    bos = tokenizer.bos_token_id
    assert not any(a == b == bos for a, b in zip(whole.ids, whole.ids[1:], strict=False)), "no second beginning"
    if template == "auto":
        text = tokenizer.apply_chat_template(CHAT[:-1], tokenize=False, add_generation_prompt=True)
        assert tokenizer.decode(prompt) == text


def test_trap_13_templates_that_rewrite_history_are_refused(tiny_model: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.chat_template = (
        "{% for m in messages %}{% if m.role == 'assistant' and not loop.last %}[hidden]{% else %}{{ m.role + ':' + m.content + '\\n' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}assistant:{% endif %}"
    )
    with pytest.raises(RecordError, match="rewrites"):
        Renderer(tokenizer).conversation(CHAT)
    assert Renderer(tokenizer).conversation(CHAT[:3]).ids, "one turn is fine"


def test_trap_12_a_conversation_without_an_answer_is_refused(tokenizer: Any) -> None:
    with pytest.raises(RecordError, match="no answer"):
        Renderer(tokenizer).conversation(CHAT[:2])


# ---- token files ----------------------------------------------------------------------------------


def test_token_files_hold_every_sample_once_in_another_order(tmp_path: Path, tiny_model: Path, tokenizer: Any) -> None:
    rows = conversations(50)
    rows.append({"id": "none", "source": "茶", "messages": [{"role": "user", "content": "没有回答"}]})
    info = tokenize([write(tmp_path / "in.jsonl", rows)], tmp_path / "out", str(tiny_model))
    assert (info["samples"], info["dropped"], info["kind"]) == (50, {"no_targets": 1}, "sft")
    made = TokenSet(tmp_path / "out")
    renderer = Renderer(tokenizer)
    expected = [renderer.conversation(r["messages"]).ids for r in rows[:50]]
    found = [made.sequence(i)[0].tolist() for i in range(len(made))]
    assert sorted(found) == sorted(expected) and found != expected
    assert sum(info["tokens_by_source"].values()) == info["tokens"] == sum(map(len, expected))
    again = tokenize([str(tmp_path / "in.jsonl")], tmp_path / "other", str(tiny_model), TokenOptions(seed=0))
    assert (tmp_path / "other" / "tokens.bin").read_bytes() == (tmp_path / "out" / "tokens.bin").read_bytes()
    assert again["key"] == info["key"]
    with pytest.raises(TrainingError, match="made otherwise"):
        tokenize([str(tmp_path / "in.jsonl")], tmp_path / "out", str(tiny_model), TokenOptions(seed=1))


def test_an_interrupted_tokenisation_goes_on(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from training.data import encoder

    paths = [write(tmp_path / f"{i}.jsonl", [{"id": f"{i}-{k}", "text": f"{ARTICLE[k:]}{i}"} for k in range(5)]) for i in range(3)]  # fmt: skip
    original, calls = encoder.encode, []

    def failing(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(encoder, "encode", failing)
    with pytest.raises(KeyboardInterrupt):
        tokenize(paths, tmp_path / "out", str(tiny_model))
    info = tokenize(paths, tmp_path / "out", str(tiny_model))
    assert info["parts_done_before"] == 2 and info["samples"] == 15
    monkeypatch.undo()
    tokenize(paths, tmp_path / "whole", str(tiny_model))
    assert (tmp_path / "whole" / "tokens.bin").read_bytes() == (tmp_path / "out" / "tokens.bin").read_bytes()
    counted = count_tokens(paths, str(tiny_model))
    ends = 2 * 5  # a token begins and one ends each text
    assert {n: r["tokens"] + ends for n, r in counted.items()} == info["tokens_by_source"]
    (tmp_path / "out" / "tokens.bin").write_bytes(b"12")
    with pytest.raises(TrainingError, match="damaged"):
        TokenSet(tmp_path / "out")


def test_chunks_buckets_and_processes_lose_nothing(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    from training.data import encoder, shuffle, tokens

    paths = [write(tmp_path / f"{i}.jsonl", conversations(300, seed=i)) for i in range(2)]
    tokenize(paths, tmp_path / "small", str(tiny_model))
    small = TokenSet(tmp_path / "small")
    monkeypatch.setattr(tokens, "SMALL", 0)  # processes
    monkeypatch.setattr(tokens, "_BUCKET", 10_000)
    monkeypatch.setattr(encoder, "_BATCH", 20)
    monkeypatch.setattr(shuffle, "_CHUNK", 500)
    tokenize(paths, tmp_path / "large", str(tiny_model))
    large = TokenSet(tmp_path / "large")
    assert {k: small.info[k] for k in ("tokens", "samples", "tokens_by_source")} == {k: large.info[k] for k in ("tokens", "samples", "tokens_by_source")}  # fmt: skip

    def content(made: TokenSet) -> list[tuple[bytes, bytes]]:
        found = [made.sequence(i) for i in range(len(made))]
        return [(ids.tobytes(), targets.tobytes()) for ids, targets in found if targets is not None]

    assert sorted(content(small)) == sorted(content(large)) and content(small) != content(large)
    tokenize(paths, tmp_path / "again", str(tiny_model))
    assert content(TokenSet(tmp_path / "again")) == content(large), "the same order every time"


def test_trap_15_cutting_keeps_the_answer(tmp_path: Path, tiny_model: Path, tokenizer: Any) -> None:
    long_prompt = [{"role": "user", "content": ARTICLE * 3}, {"role": "assistant", "content": "好的。"}]
    long_answer = [{"role": "user", "content": "说吧。"}, {"role": "assistant", "content": ARTICLE * 3}]
    info = tokenize([write(tmp_path / "in.jsonl", [{"id": "a", "messages": long_prompt}, {"id": "b", "messages": long_answer}])], tmp_path / "out", str(tiny_model), TokenOptions(max_tokens=64))  # fmt: skip
    assert (info["cut"], info["samples"]) == (2, 2)
    made = TokenSet(tmp_path / "out")
    for i in range(2):
        ids, targets = made.sequence(i)
        assert targets is not None and len(ids) <= 64 and targets.sum() > 0
        if "好的。" in tokenizer.decode(ids[targets == 1]):
            assert tokenizer.decode(ids[targets == 1]).startswith("好的。"), "the whole answer stays"


def test_trap_16_cut_pairs_share_their_prompt(tmp_path: Path, tiny_model: Path) -> None:
    rows = pairs(12)
    rows[0]["prompt"] = [{"role": "user", "content": ARTICLE * 2}]
    rows[1]["rejected"] = ARTICLE * 3
    rows[2]["chosen"] = rows[2]["rejected"]
    rows[3]["chosen"] = ""
    info = tokenize([write(tmp_path / "in.jsonl", rows)], tmp_path / "out", str(tiny_model), TokenOptions(max_tokens=100, max_prompt=50))  # fmt: skip
    assert info["dropped"] == {"equal_answers": 1, "empty_answer": 1}
    (source,) = rows_of([str(tmp_path / "out")], 100, packing=True)
    for i in range(source.count):
        row = source.row(i)
        assert all(len(ids) <= 100 for ids in row.ids)
        starts = [int(np.argmax(t)) for t in row.targets]
        assert starts[0] == starts[1] and np.array_equal(row.ids[0][: starts[0]], row.ids[1][: starts[0]])
        assert all(t[starts[0] :].all() for t in row.targets), "nothing but the answer after the prompt"


def test_formats_with_the_other_spelling(tmp_path: Path, tiny_model: Path) -> None:
    rows = [{"id": "1", "prompt": "问", "chosen": "好答案", "reject": "坏答案"}]
    assert tokenize([write(tmp_path / "in.jsonl", rows)], tmp_path / "out", str(tiny_model))["kind"] == "preference"


# ---- rows -----------------------------------------------------------------------------------------


class Counted:
    """Rows without content."""

    def __init__(self, count: int) -> None:
        self.count = count

    def size(self, index: int) -> int:
        return index * 37 % 101


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 9000), min_size=1, max_size=4), st.integers(0, 5), st.sampled_from([0, 4]))
def test_trap_29_30_every_epoch_has_every_row_once_whatever_the_start(counts: list[int], seed: int, group: int) -> None:
    sources: Any = [Counted(c) for c in counts]
    stream = RowStream(sources, shares=[0] * len(counts), seed=seed, group=group)
    size = stream.epoch_rows
    both = stream.rows(0, 2 * size)
    wanted = sorted((s, r) for s, c in enumerate(counts) for r in range(c))
    assert sorted(both[:size]) == sorted(both[size:]) == wanted
    if size > 50 and not group:
        assert both[:size] != both[size:], "another epoch, another order"
    start = (size * 2) // 3
    other = RowStream(sources, shares=[0] * len(counts), seed=seed, group=group)
    assert other.rows(start, size // 2 + 1) == both[start : start + size // 2 + 1]


def test_shares_mix_evenly() -> None:
    sources: Any = [Counted(100), Counted(300)]
    stream = RowStream(sources, shares=[3, 1], seed=0)
    rows = stream.rows(0, 400)
    assert [sum(s == i for s, _ in rows) for i in (0, 1)] == [300, 100]
    assert all(2 <= sum(s == 0 for s, _ in rows[i : i + 4]) <= 4 for i in range(0, 400, 4))
    assert sorted(r for s, r in rows if s == 0) == sorted(list(range(100)) * 3)


@given(st.integers(1, 5000), st.integers(0, 9))
def test_the_shuffle_is_a_permutation(count: int, seed: int) -> None:
    assert sorted(_shuffled(np.arange(count), count, seed).tolist()) == list(range(count))


def test_trap_02_micro_batches_cover_a_step_for_any_number_of_workers(tokens: dict[str, str]) -> None:
    (source,) = rows_of([tokens["sft"]], 64, packing=True)
    keys = [(0, i) for i in range(min(7, source.count))]
    rows = [source.row(i) for _, i in keys]
    for world, micro in ((1, 8), (2, 2), (4, 1)):
        seen = []
        for rank in range(world):
            made = list(micro_batches(rows, keys, rank=rank, world=world, micro=micro, accumulation=8 // world // micro, pad=0, pairs=False))  # fmt: skip
            assert len(made) == 8 // world // micro, "as many passes on every worker, at the end of the data too"
            seen += [k for b in made for k in b.indices]
        assert sorted(seen) == keys


def test_pretraining_rows_are_the_stream_cut(tokens: dict[str, str]) -> None:
    held = TokenSet(tokens["pretrain"])
    rows = Rows(held, 50, packing=True, number=0)
    whole = np.concatenate([t for i in range(rows.count) for t in rows.row(i).ids])
    assert np.array_equal(whole, np.asarray(held.tokens))
    assert all(rows.row(i).length == 50 for i in range(rows.count - 1))
    borders = set(np.asarray(held.starts).tolist())
    at = 0
    for i in range(rows.count):
        for part in rows.row(i).ids:
            assert at in borders or at % 50 == 0
            at += len(part)


def test_packed_rows_hold_whole_samples_within_the_length(tokens: dict[str, str]) -> None:
    packed, single = rows_of([tokens["sft"]], 128, packing=True)[0], rows_of([tokens["sft"]], 128, packing=False)[0]
    assert packed.count < single.count
    everything = [ids for i in range(packed.count) for ids in packed.row(i).ids]
    assert len(everything) == single.count
    assert all(np.array_equal(a, single.row(i).ids[0]) for i, a in enumerate(everything))
    assert all(packed.row(i).length <= 128 for i in range(packed.count))


def test_trap_26_supervised_tokens_of_a_packed_row_are_the_answers(tokens: dict[str, str], tokenizer: Any) -> None:
    (source,) = rows_of([tokens["sft"]], 128, packing=True)
    batch = collate([source.row(0)], pad=0, pairs=False)
    answers = {c["messages"][1]["content"] for c in conversations(60)}
    for k in range(int(batch.segments.max()) + 1):
        mask = batch.targets[0] & (batch.segments[0] == k)
        text = tokenizer.decode(batch.ids[0][mask])
        assert any(text.startswith(a[:10]) or a.startswith(text.strip()[:10]) for a in answers), text


# ---- isolation ------------------------------------------------------------------------------------


def scorer_of(tiny_model: Path, tokenizer: Any, kind: str, attention: str = "sdpa") -> Scorer:
    model = build_model(ModelConfig(shape=SHAPES[kind], tokenizer=str(tiny_model), dtype="fp32", attention=attention), tokenizer, 0)  # type: ignore[arg-type]  # fmt: skip
    return Scorer(model).eval()


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", list(SHAPES))
def test_trap_23_24_25_packed_samples_do_not_see_each_other(tiny_model: Path, tokenizer: Any, kind: str, attention: str) -> None:  # fmt: skip
    scorer = scorer_of(tiny_model, tokenizer, kind, attention)
    rng = np.random.default_rng(0)
    parts = [rng.integers(3, 500, size=n) for n in (7, 1, 1, 12, 30)]
    ones = [np.ones(len(p), np.uint8) for p in parts]

    def losses(ids: list[np.ndarray], masks: list[np.ndarray]) -> torch.Tensor:
        batch = collate([Row(tuple(ids), tuple(masks), 0)], pad=0, pairs=False)
        with torch.no_grad():
            return scorer(batch.ids, batch.segments, batch.positions, batch.targets, batch.packed)

    packed = losses(parts, ones)
    separate = torch.cat([losses([p], [m]) for p, m in zip(parts, ones, strict=True) if len(p) > 1])
    assert torch.allclose(packed, separate, atol=1e-4), "one token predicts nothing, and nothing across a border"
    changed = losses([rng.integers(3, 500, size=7), *parts[1:]], ones)
    assert torch.equal(changed[6:], packed[6:]), "another first sample changes no bit of the others"


@pytest.mark.slow
def test_trap_23_flex_attention_hides_the_same(tiny_model: Path, tokenizer: Any) -> None:
    rng = np.random.default_rng(0)
    rows = [Row(tuple(rng.integers(3, 500, size=n) for n in sizes), tuple(np.ones(n, np.uint8) for n in sizes), 0) for sizes in ((7, 1, 40), (12, 20, 9))]  # fmt: skip
    batch = collate(rows, pad=0, pairs=False, width=64)
    found = []
    for attention in ("sdpa", "flex"):
        scorer = scorer_of(tiny_model, tokenizer, "llama", attention)
        with torch.no_grad():  # on a CPU flex attention has no backward pass
            found.append(scorer(batch.ids, batch.segments, batch.positions, batch.targets, batch.packed))
    assert batch.ids.shape == (2, 64) and torch.allclose(found[0], found[1], atol=1e-4)


def test_trap_17_padding_changes_nothing(tiny_model: Path, tokenizer: Any, tokens: dict[str, str]) -> None:
    scorer = scorer_of(tiny_model, tokenizer, "llama")
    (source,) = rows_of([tokens["sft"]], 128, packing=False)
    rows = [source.row(i) for i in range(6)]
    together = collate(rows, pad=0, pairs=False)
    with torch.no_grad():
        all_ = scorer(together.ids, together.segments, together.positions, together.targets, together.packed)
        alone = []
        for row in rows:
            b = collate([row], pad=0, pairs=False)
            wide = torch.nn.functional.pad(b.ids, (0, 100), value=5)
            grown = [torch.nn.functional.pad(x, (0, 100), value=v) for x, v in ((b.segments, -1), (b.positions, 0), (b.targets, False))]  # fmt: skip
            alone.append(scorer(wide, *grown, False))
    assert torch.allclose(all_, torch.cat(alone), atol=1e-5)


# ---- configuration --------------------------------------------------------------------------------


def test_wrong_configurations_are_named(tmp_path: Path) -> None:
    good = {"objective": "sft", "output": str(tmp_path)}
    for change, words in (
        ({"optimiser": {}}, "did you mean 'optimizer'"),
        ({"optimizer": {"learning_rat": 1}}, "optimizer.learning_rat"),
        ({"data": {"train": [{"pat": "x"}]}}, r"data.train\[0\].pat"),
        ({"batch": 6, "micro_batch": 4}, "multiple of"),
        ({"objective": "ppo"}, "objective"),
        ({"optimizer": {"learning_rate": -1}}, "optimizer.learning_rate"),
        ({"parallel": {"backend": "plain", "workers": 2}, "micro_batch": 2, "batch": 4}, "one process"),
    ):
        with pytest.raises(TrainingError, match=words):
            TrainConfig.from_dict({**good, **change}, "x.yaml")
    (tmp_path / "bad.yaml").write_text("a: [", "utf-8")
    with pytest.raises(TrainingError, match="not YAML"):
        TrainConfig.from_file(tmp_path / "bad.yaml")
    made = TrainConfig.from_dict(good, overrides={"optimizer.learning_rate": 1e-4, "steps": 7})
    assert (made.optimizer.learning_rate, made.steps) == (1e-4, 7)
    assert TrainConfig.from_dict(made.describe()) == made


def test_the_reference_is_up_to_date() -> None:
    from training.reference import training_markdown

    held = (Path(__file__).parents[3] / "docs" / "training.md").read_text("utf-8")
    assert held == training_markdown(), "run python -m training.reference"
    assert "|  |" not in held, "every field says what it is"


@pytest.mark.parametrize("name", ["sft", "pretrain", "dpo"])
def test_ready_configurations_are_valid(name: str) -> None:
    assert TrainConfig.from_file(Path(__file__).parents[3] / "recipes" / "training" / f"{name}.yaml").output
