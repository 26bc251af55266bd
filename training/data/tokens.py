"""Tokenising records into a folder of token files that training maps into memory."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from raylib.errors import TrainingError
from raylib.records import RecordFile, files_of
from training.data.encoder import SMALL, Encoder
from training.data.encoding import TokenOptions
from training.data.shuffle import Spill, join
from training.data.token_set import Kind

__all__ = ["tokenize"]


_BUCKET = 64 << 20  # bytes of input whose samples are shuffled at once


def tokenize(sources: Sequence[str], out: str | Path, tokenizer_path: str, options: TokenOptions | None = None) -> dict[str, Any]:  # fmt: skip
    """Tokenise records of files or runs into a token folder; returns what `tokens.json` holds.

    Files that were done before an interruption are not done again. The order of samples is a random one that
    `options.seed` determines.

    Raises:
        TrainingError: no records, or the folder holds tokens of something else.
    """
    from transformers import AutoTokenizer

    options = options or TokenOptions()
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_path, local_files_only=True, trust_remote_code=False)
    folder = Path(out)
    files = files_of(sources)
    key = _key(files, tokenizer_path, options)
    if (folder / "tokens.json").is_file():
        old: dict[str, Any] = orjson.loads((folder / "tokens.json").read_bytes())
        if old["key"] == key:
            return old
        raise TrainingError(f"{out} holds tokens made otherwise; choose another folder or delete it")
    work = folder / f"parts-{key}"
    work.mkdir(parents=True, exist_ok=True)
    kind = options.kind if options.kind != "auto" else _guess(files)
    width = 3 if kind == "preference" else 1
    total = sum(os.path.getsize(path) for _, path in files if os.path.exists(path))
    buckets = max(1, min(total // _BUCKET, 4096))
    begun = time.perf_counter()
    parts, done_before = [], 0
    with Encoder(tokenizer, tokenizer_path, kind, options, work, parallel=total > SMALL) as encoder:
        for number, file in enumerate(files):
            target = work / f"{number:06d}"
            if (target / "part.json").is_file():
                done_before += 1
            else:
                spill = Spill(target, width=width, buckets=buckets, seed=(options.seed, number))
                for encoded in encoder.encoded(file):
                    spill.add(encoded)
                spill.close()
            parts.append(target)
    totals: dict[str, Any] = {name: Counter() for name in ("tokens", "records", "dropped")} | {"cut": 0}
    for part in parts:
        facts = orjson.loads((part / "part.json").read_bytes())
        totals["cut"] += facts["cut"]
        for name in ("tokens", "records", "dropped"):
            totals[name].update(facts[name])
    if not totals["records"]:
        shutil.rmtree(work)
        raise TrainingError("no records to tokenise: everything was dropped, or the input is empty")
    dtype = np.dtype(np.uint16 if len(tokenizer) <= 1 << 16 else np.uint32)
    tokens, samples = join(parts, folder, width=width, buckets=buckets, dtype=dtype, seed=options.seed)
    seconds = time.perf_counter() - begun
    info = {
        "dtype": dtype.name, "tokens": tokens, "samples": samples, "cut": totals["cut"], "dropped": dict(totals["dropped"]),
        "tokens_by_source": dict(sorted(totals["tokens"].items())), "samples_by_source": dict(sorted(totals["records"].items())),
        "key": key, "kind": kind, "tokenizer": str(tokenizer_path), "vocabulary": len(tokenizer), "seconds": round(seconds, 2),
        "tokens_per_second": round(tokens / max(seconds, 1e-9)), "parts_done_before": done_before, "options": vars(options),
    }  # fmt: skip
    _write(folder / "tokens.json", orjson.dumps(info, option=orjson.OPT_INDENT_2))
    shutil.rmtree(work)
    return info


def _key(files: Sequence[RecordFile], tokenizer_path: str, options: TokenOptions) -> str:
    facts: list[Any] = [vars(options)]
    for _, path in files:
        status = os.stat(path) if os.path.exists(path) else None
        facts.append([path, status.st_size if status else 0, status.st_mtime_ns if status else 0])
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        file = Path(tokenizer_path) / name
        facts.append([name, hashlib.blake2b(file.read_bytes(), digest_size=8).hexdigest() if file.is_file() else ""])
    return hashlib.blake2b(orjson.dumps(facts), digest_size=8).hexdigest()


def _guess(files: Sequence[RecordFile]) -> Kind:
    for file in files:
        for table in file.tables():
            if "chosen" in table.column_names:
                return "preference"
            return "sft" if "messages" in table.column_names else "pretrain"
    raise TrainingError("no records to tokenise")


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(data)
    os.replace(temporary, path)
