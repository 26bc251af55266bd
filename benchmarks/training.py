"""Training, measured on a CPU: tokenising, what the loop costs over a bare DeepSpeed loop, memory of large token files.

RAYLIB_TEST_DATA=... python benchmarks/training.py [tokenise chats refusals overhead memory] [--before CHECKOUT]
"""

from __future__ import annotations

import argparse
import gzip
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from measure import ROOT, data_file, write_section

sys.path.insert(0, str(ROOT))
os.environ.setdefault("DS_ACCELERATOR", "cpu")


def tokenise(folder: Path) -> list[str]:
    """Documents a second through a loop over records, the tokenizer's own batches, and `raylib tokenize`."""
    from transformers import AutoTokenizer

    from examples.tiny_model import train_tokenizer
    from raylib.records import Unread, tables_of
    from training.data.tokens import tokenize

    source = str(data_file("pretrain_zh.jsonl.gz"))
    texts = [t for table in tables_of(source, rejected=Unread()) for t in table["text"].to_pylist()][:60_000]
    train_tokenizer(texts[:5000], 16_000).save_pretrained(folder / "tokenizer")
    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
    path = folder / "in.jsonl"
    path.write_bytes(b"".join(orjson.dumps({"id": str(i), "text": t}) + b"\n" for i, t in enumerate(texts)))
    backend = tokenizer.backend_tokenizer
    speeds: dict[str, list[float]] = {"loop": [], "batch": [], "ours": []}
    for turn in range(3):  # in turn, as a machine's speed drifts
        begun = time.perf_counter()
        count = sum(len(tokenizer.encode(t, add_special_tokens=False)) for t in texts[: len(texts) // 4])
        speeds["loop"].append(count / (time.perf_counter() - begun))
        begun = time.perf_counter()
        count = sum(
            len(e.ids)
            for i in range(0, len(texts), 1000)
            for e in backend.encode_batch_fast(texts[i : i + 1000], add_special_tokens=False)
        )
        speeds["batch"].append(count / (time.perf_counter() - begun))
        info = tokenize([str(path)], folder / f"tokens{turn}", str(folder / "tokenizer"))
        speeds["ours"].append(info["tokens"] / info["seconds"])
    loop, batch, ours = (float(np.median(v)) for v in speeds.values())
    return [
        f"{len(texts):,} documents, {info['tokens']:,} tokens, vocabulary 16,000, median of three rounds in turn:"
        f" record by record {loop:,.0f} tokens/s, the tokenizer's batches {batch:,.0f}, `raylib tokenize` from JSON"
        f" lines to shuffled files {ours:,.0f} = **{ours / loop:.1f} times** the loop, {100 * ours / batch:.0f} % of"
        " the batches."
    ]


_TOKENISE = """
import sys, tempfile, time
sys.path.insert(0, sys.argv[1])
from training.data.tokens import tokenize
begun = time.process_time()
with tempfile.TemporaryDirectory() as folder:
    info = tokenize([sys.argv[2]], folder + "/tokens", sys.argv[3])
print(time.process_time() - begun, info["samples"], info["tokens"], sum(info["dropped"].values()))
"""


def chats(folder: Path, before: str = "") -> list[str]:
    """CPU time of tokenising conversations, beside that of an earlier checkout in turn with this one."""
    data = data_file("sft_alpaca_zh.jsonl.gz").parent
    models = {}
    for name, template in (("Qwen2.5", "Qwen-Qwen2.5-7B-Instruct"), ("Qwen3", "Qwen-Qwen3-0.6B")):
        models[name] = folder / name
        shutil.copytree(data / "tokenizers" / "qwen3", models[name], copy_function=shutil.copyfile)
        models[name].chmod(0o755)
        shutil.copyfile(data / "chat_templates" / f"{template}.jinja", models[name] / "chat_template.jinja")
    sets = {
        "one turn": ("sft_alpaca_zh", 17_000),
        "about six turns each": ("more/sft_counsel_multiturn_zh", 1500),
    }
    trees = {"now": str(ROOT), **({"before": before} if before else {})}
    lines = [
        "Whole `raylib tokenize` of JSON lines with the real Qwen vocabulary; CPU time of the process, median of three"
        " rounds, the version before and this one in turn. With Qwen3's template, which rewrites earlier turns, each"
        " answer is a sample of its own; the version before refused such records.",
        "",
        "| records | template | CPU seconds | records/s | tokens/s | samples | refused | before: CPU seconds, refused |"
        " CPU time a token, now over before |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for title, (name, count) in sets.items():
        path = folder / "chats.jsonl"
        with gzip.open(data_file(f"{name}.jsonl.gz")) as stream:
            rows = list(islice(stream, count))
        path.write_bytes(b"".join(rows))
        for model, place in models.items():
            found: dict[str, list[list[float]]] = {tree: [] for tree in trees}
            for tree, root in [*trees.items()] * 3:
                command = [sys.executable, "-c", _TOKENISE, root, str(path), str(place)]
                done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
                found[tree].append([float(n) for n in done.stdout.split()[-4:]])
            seconds, samples, tokens, refused = np.median(found["now"], axis=0)
            line = f"| {len(rows):,}, {title} | {model} | {seconds:.1f} | {len(rows) / seconds:,.0f}"
            line += f" | {tokens / seconds:,.0f} | {samples:,.0f} | {refused:,.0f} |"
            if before:
                theirs, _, their_tokens, lost = np.median(found["before"], axis=0)
                ratio = (seconds / tokens) / (theirs / their_tokens)
                line += f" {theirs:.1f}, {lost:,.0f} | {f'{ratio:.2f}' if lost < len(rows) / 2 else '-'} |"
            lines.append(line if before else line + " | |")
    return lines


def refusals(folder: Path) -> list[str]:
    """How many records of the real sets of chats cannot be learnt with real templates, by reason."""
    from raylib.chat import Renderer
    from tests.training.data.chat_sets import CONVERSATIONS, PREFERENCES, TEMPLATES, chat_model, measured
    from training.data.tokenizer import saved_tokenizer

    data = data_file("sft_alpaca_zh.jsonl.gz").parent
    lines = ["| template | records | samples | tokens | expanded | without an answer | otherwise refused |"]
    lines.append("|---|---|---|---|---|---|---|")
    reasons: dict[str, Counter[str]] = {}
    for template in TEMPLATES:
        renderer = Renderer(saved_tokenizer(chat_model(data, template, folder / f"model-{template}")))
        sets = {name: measured(data, name, renderer) for name in (*CONVERSATIONS, *PREFERENCES)}
        for name, found in sets.items():
            reasons.setdefault(name, Counter()).update(
                {r: max(0, n - reasons[name][r]) for r, n in found.refused.items()}
            )
        total = [
            sum(getattr(m, f) for m in sets.values()) for f in ("records", "samples", "tokens", "expanded", "empty")
        ]
        other = sum((Counter(m.lost) for m in sets.values()), Counter())
        shown = ", ".join(f"{count:,} {reason}" for reason, count in other.most_common()) or "none"
        lines.append(f"| {template} | " + " | ".join(f"{n:,}" for n in total) + f" | {shown} |")
        print(lines[-1], flush=True)
    lost = [
        f"{n} ({', '.join(f'{c:,} {r}' for r, c in found.most_common() if c)})"
        for n, found in reasons.items()
        if +found
    ]
    return [*lines, "", "Refused records by set, of the template that refuses most: " + "; ".join(lost) + "."]


def overhead(folder: Path) -> list[str]:
    """Seconds a step of our loop and of a bare DeepSpeed loop over the very same batches."""
    import torch

    from tests.texts import conversations
    from training.config import TrainConfig
    from training.data.batches import BatchShape, micro_batches
    from training.data.order import RowStream
    from training.data.rows import rows_of
    from training.data.tokens import tokenize
    from training.loop import Loop
    from training.loop.launch import single_process_group
    from training.model.build import build_model, load_tokenizer, parameter_groups
    from training.model.deepspeed import deepspeed_config
    from training.model.world import World
    from training.objectives import Scorer

    if not (folder / "tokenizer").is_dir():
        tokenise(folder)
    rows = [{"id": c["id"], "messages": c["messages"] * 3} for c in conversations(2000)]
    (folder / "chats.jsonl").write_bytes(b"".join(orjson.dumps(r) + b"\n" for r in rows))
    tokenize([str(folder / "chats.jsonl")], folder / "sft", str(folder / "tokenizer"))
    shape = {
        "model_type": "llama",
        "hidden_size": 256,
        "intermediate_size": 768,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
    }
    config = TrainConfig.from_dict(
        {
            "objective": "sft",
            "output": str(folder / "runs"),
            "name": "o",
            "batch": 8,
            "micro_batch": 8,
            "steps": 40,
            "save_every": 10_000,
            "log_every": 1000,
            "model": {"shape": shape, "tokenizer": str(folder / "tokenizer"), "dtype": "fp32"},
            "data": {"train": [{"path": str(folder / "sft")}], "sequence_length": 256},
            "parallel": {"backend": "deepspeed", "zero_stage": 2},
        }
    )
    single_process_group()

    def ours(turn: int) -> list[float]:
        loop = Loop(config, folder / "runs" / f"o{turn}", say=lambda *_: None)
        loop.run()
        lines = (folder / "runs" / f"o{turn}" / "metrics.jsonl").read_bytes().splitlines()
        return [orjson.loads(line)["seconds"] for line in lines][10:]

    import deepspeed

    first = ours(0)
    tokenizer = load_tokenizer(config.model)
    module = Scorer(build_model(config.model, tokenizer, 0))
    engine, *_ = deepspeed.initialize(
        model=module, model_parameters=parameter_groups(module, 0.1, 4), config=deepspeed_config(config, World())
    )
    sources = rows_of([str(folder / "sft")], config.data.sequence_length, packing=True)
    stream = RowStream(sources, shares=[0.0], seed=config.seed)
    cut = BatchShape(micro=8, accumulation=1, pad=0, pairs=False)
    batches: list[Any] = []
    for step in range(40):
        keys = stream.rows(step * 8, 8)
        (batch,) = micro_batches([sources[s].row(r) for s, r in keys], keys, cut)
        batches.append(batch)

    def bare() -> list[float]:
        taken = []
        for b in batches:
            begun = time.perf_counter()
            loss = engine(b.ids, b.segments, b.positions, b.targets, b.packed).mean()
            engine.backward(loss)
            engine.step()
            taken.append(time.perf_counter() - begun)
        return taken[10:]

    # in the order ours, bare, bare, ours, so that a drift of the machine's speed cancels out
    theirs = [*bare(), *bare()]
    stamps = [*first, *ours(1)]
    a, b = float(np.median(stamps)), float(np.median(theirs))
    torch.distributed.destroy_process_group()
    return [
        f"LLaMA of {sum(p.numel() for p in module.parameters()) / 1e6:.1f} M parameters, 8 packed rows of 256 tokens,"
        f" float32, ZeRO-2, one worker, median of 60 steps in the order ours, bare, bare, ours: our loop {1000 * a:.1f}"
        f" ms, a bare DeepSpeed loop over the same batches {1000 * b:.1f} ms = {100 * (a / b - 1):+.1f} %."
    ]


def memory(folder: Path) -> list[str]:
    """Resident memory of a process that reads a 20 GB token file from end to end."""
    import psutil

    from training.data.order import RowStream
    from training.data.rows import rows_of

    place = folder / "large"
    place.mkdir()
    tokens, samples = 10_000_000_000, 10_000_000
    with (place / "tokens.bin").open("wb") as stream:
        stream.truncate(2 * tokens)
    np.save(place / "starts.npy", np.arange(samples + 1, dtype=np.int64) * (tokens // samples))
    info = {"kind": "pretrain", "dtype": "uint16", "tokens": tokens, "samples": samples}
    (place / "tokens.json").write_bytes(orjson.dumps(info))
    process = psutil.Process()
    before = process.memory_info().rss
    rows = rows_of([str(place)], 2048, packing=True)
    stream_ = RowStream(rows, shares=[0], seed=0)
    begun, peak, read = time.perf_counter(), 0, 0
    for begin in range(0, stream_.epoch_rows, 64):
        read += sum(r.length for r in stream_.read(begin, min(64, stream_.epoch_rows - begin)))
        if begin % 65_536 == 0:
            peak = max(peak, process.memory_info().rss)
    seconds = time.perf_counter() - begun
    peak = max(peak, process.memory_info().rss)
    assert read == tokens
    return [
        "A 20 GB token file (10 billion tokens, 10 million samples) read in rows of 2,048: resident memory grows by"
        f" {(peak - before) / 1e6:.0f} MB (of which 80 MB are the index); {read / seconds / 1e6:.0f} M tokens/s."
    ]


def main() -> None:
    parts = ["tokenise", "chats", "refusals", "overhead", "memory"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"what to measure: {', '.join(parts)} (default: all)")
    parser.add_argument("--before", default="", help="checkout of an earlier version to measure `chats` with, too")
    given = parser.parse_args()
    wanted = given.parts or parts
    if unknown := set(wanted) - set(parts):
        parser.error(f"unknown part {min(unknown)!r}; valid: {', '.join(parts)}")
    titles = {
        "tokenise": "Tokenising",
        "chats": "Tokenising conversations",
        "refusals": "Real sets of chats with real templates",
        "overhead": "The training loop over bare DeepSpeed",
        "memory": "Memory of large token files",
    }
    measures = {"tokenise": tokenise, "refusals": refusals, "overhead": overhead, "memory": memory}
    with tempfile.TemporaryDirectory() as name:
        for part in wanted:
            place = Path(name)
            lines = chats(place, given.before) if part == "chats" else measures[part](place)
            print("\n".join(lines), flush=True)
            write_section(titles[part], lines)


if __name__ == "__main__":
    main()
