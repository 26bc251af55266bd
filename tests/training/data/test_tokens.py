"""Token files: every sample once, interruptions, cutting."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raylib.chat import Renderer
from raylib.errors import LockedError, TrainingError
from raylib.locking import locked
from tests.texts import ARTICLE, conversations
from tests.training.setup import pairs, write
from training.data import encoder, encoding, shuffle, tokens
from training.data.counting import count_tokens
from training.data.encoded import TokenOptions
from training.data.rows import rows_of
from training.data.token_set import TOKEN_FILES, TokenSet
from training.data.tokenizer import Tokenizer
from training.data.tokens import tokenize


@pytest.mark.slow
def test_token_files_hold_every_sample_once_in_another_order(
    tmp_path: Path, tiny_model: Path, tokenizer: Tokenizer
) -> None:
    rows = conversations(50)
    rows.append({"id": "none", "source": "茶", "messages": [{"role": "user", "content": "没有回答"}]})
    info = tokenize([write(tmp_path / "in.jsonl", rows)], tmp_path / "out", str(tiny_model))
    assert (info["samples"], info["dropped"], info["kind"]) == (50, {"no_targets": 1}, "sft")
    made = TokenSet(tmp_path / "out")
    renderer = Renderer(tokenizer)
    expected = [renderer.conversation(r["messages"])[0].ids for r in rows[:50]]
    found = [made.sequence(i)[0].tolist() for i in range(len(made))]
    assert sorted(found) == sorted(expected)
    assert found != expected
    assert sum(info["tokens_by_source"].values()) == info["tokens"] == sum(map(len, expected))
    again = tokenize([str(tmp_path / "in.jsonl")], tmp_path / "other", str(tiny_model), TokenOptions(seed=0))
    assert (tmp_path / "other" / "tokens.bin").read_bytes() == (tmp_path / "out" / "tokens.bin").read_bytes()
    assert again["key"] == info["key"]
    with pytest.raises(TrainingError, match="made otherwise"):
        tokenize([str(tmp_path / "in.jsonl")], tmp_path / "out", str(tiny_model), TokenOptions(seed=1))


def test_an_interrupted_tokenisation_continues(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [
        write(tmp_path / f"{i}.jsonl", [{"id": f"{i}-{k}", "text": f"{ARTICLE[k:]}{i}"} for k in range(5)])
        for i in range(3)
    ]
    original, calls = encoding.encode, []

    def failing(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(encoder, "encode", failing)
    with pytest.raises(KeyboardInterrupt):
        tokenize(paths, tmp_path / "out", str(tiny_model))
    with locked(tmp_path / "out"), pytest.raises(LockedError, match="another process is writing to"):
        tokenize(paths, tmp_path / "out", str(tiny_model))
    info = tokenize(paths, tmp_path / "out", str(tiny_model))
    assert info["parts_done_before"] == 2
    assert info["samples"] == 15
    monkeypatch.undo()
    tokenize(paths, tmp_path / "whole", str(tiny_model))
    assert (tmp_path / "whole" / "tokens.bin").read_bytes() == (tmp_path / "out" / "tokens.bin").read_bytes()
    counted = count_tokens(paths, str(tiny_model))
    ends = 2 * 5  # a token begins and one ends each text
    assert {n: r["tokens"] + ends for n, r in counted.items()} == info["tokens_by_source"]
    (tmp_path / "out" / "tokens.bin").write_bytes(b"12")
    with pytest.raises(TrainingError, match="damaged"):
        TokenSet(tmp_path / "out")


@pytest.mark.slow
def test_a_damaged_part_of_an_interrupted_tokenisation_is_made_anew(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    records = [{"id": str(k), "text": ARTICLE[k:]} for k in range(5)]
    paths = [write(tmp_path / "0.jsonl", [*records, {"id": "no text"}]), write(tmp_path / "1.jsonl", records)]
    original, calls = encoding.encode, []

    def failing(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(encoder, "encode", failing)
    with pytest.raises(KeyboardInterrupt):
        tokenize(paths, tmp_path / "cut", str(tiny_model))
    monkeypatch.undo()
    tokenize(paths, tmp_path / "whole", str(tiny_model))
    (part,) = [file.parent for file in (tmp_path / "cut").glob("**/part.json")]
    files = [file.relative_to(tmp_path / "cut") for file in part.iterdir()]
    assert {"part.json", "refused.jsonl", "00000.ids", "00000.lengths.npy"} <= {file.name for file in files}
    for number, file in enumerate(files):
        for damage in ("flip", "cut", "gone"):
            again = shutil.copytree(tmp_path / "cut", tmp_path / f"{damage}{number}")
            data = bytearray((again / file).read_bytes())
            if damage == "gone":
                (again / file).unlink()
            elif data:
                data[len(data) // 2] ^= 1
                (again / file).write_bytes(data[:-1] if damage == "cut" else data)
            caplog.clear()
            info = tokenize(paths, again, str(tiny_model))
            for name in (*TOKEN_FILES, "refused.jsonl"):
                if (tmp_path / "whole" / name).exists():
                    assert (again / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), (file, damage)
            noticed = file.name in caplog.text and "the part is made anew" in caplog.text
            unseen = file.name == "unread.jsonl" or (file.name == "part.json" and damage == "gone")
            assert noticed != unseen, (file, damage, caplog.text)
            assert info["parts_done_before"] == int(file.name == "unread.jsonl")


@pytest.mark.slow
def test_chunks_buckets_and_processes_lose_nothing(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [write(tmp_path / f"{i}.jsonl", conversations(300, seed=i)) for i in range(2)]
    tokenize(paths, tmp_path / "small", str(tiny_model))
    small = TokenSet(tmp_path / "small")
    monkeypatch.setattr(tokens, "SMALL", 0)  # processes
    monkeypatch.setattr(tokens, "_BUCKET", 10_000)
    monkeypatch.setattr(encoder, "_BATCH", 20)
    monkeypatch.setattr(shuffle, "_CHUNK", 500)
    tokenize(paths, tmp_path / "large", str(tiny_model))
    large = TokenSet(tmp_path / "large")
    assert {k: small.info[k] for k in ("tokens", "samples", "tokens_by_source")} == {
        k: large.info[k] for k in ("tokens", "samples", "tokens_by_source")
    }

    def content(made: TokenSet) -> list[tuple[bytes, bytes]]:
        found = [made.sequence(i) for i in range(len(made))]
        return [(ids.tobytes(), targets.tobytes()) for ids, targets in found if targets is not None]

    assert sorted(content(small)) == sorted(content(large))
    assert content(small) != content(large)
    tokenize(paths, tmp_path / "again", str(tiny_model))
    assert content(TokenSet(tmp_path / "again")) == content(large), "the same order every time"


def test_cutting_keeps_the_answer(tmp_path: Path, tiny_model: Path, tokenizer: Tokenizer) -> None:
    long_prompt = [{"role": "user", "content": ARTICLE * 3}, {"role": "assistant", "content": "好的。"}]
    long_answer = [{"role": "user", "content": "说吧。"}, {"role": "assistant", "content": ARTICLE * 3}]
    info = tokenize(
        [write(tmp_path / "in.jsonl", [{"id": "a", "messages": long_prompt}, {"id": "b", "messages": long_answer}])],
        tmp_path / "out",
        str(tiny_model),
        TokenOptions(max_tokens=64),
    )
    assert (info["cut"], info["samples"]) == (2, 2)
    made = TokenSet(tmp_path / "out")
    for i in range(2):
        ids, targets = made.sequence(i)
        assert targets is not None
        assert len(ids) <= 64
        assert targets.sum() > 0
        if "好的。" in tokenizer.decode(ids[targets == 1]):
            assert tokenizer.decode(ids[targets == 1]).startswith("好的。"), "the whole answer stays"


def test_cut_pairs_share_their_prompt(tmp_path: Path, tiny_model: Path) -> None:
    rows = pairs(12)
    rows[0]["prompt"] = [{"role": "user", "content": ARTICLE * 2}]
    rows[1]["rejected"] = ARTICLE * 3
    rows[2]["chosen"] = rows[2]["rejected"]
    rows[3]["chosen"] = ""
    info = tokenize(
        [write(tmp_path / "in.jsonl", rows)],
        tmp_path / "out",
        str(tiny_model),
        TokenOptions(max_tokens=100, max_prompt=50),
    )
    assert info["dropped"] == {"equal_answers": 1, "empty_answer": 1}
    (source,) = rows_of([str(tmp_path / "out")], 100, packing=True)
    for i in range(source.count):
        row = source.row(i)
        assert all(len(ids) <= 100 for ids in row.ids)
        starts = [int(np.argmax(t)) for t in row.targets]
        assert starts[0] == starts[1]
        assert np.array_equal(row.ids[0][: starts[0]], row.ids[1][: starts[0]])
        assert all(t[starts[0] :].all() for t in row.targets), "nothing but the answer after the prompt"


def test_formats_with_the_other_spelling(tmp_path: Path, tiny_model: Path) -> None:
    rows = [{"id": "1", "prompt": "问", "chosen": "好答案", "reject": "坏答案"}]
    assert tokenize([write(tmp_path / "in.jsonl", rows)], tmp_path / "out", str(tiny_model))["kind"] == "preference"
