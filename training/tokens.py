"""Token files: tokens with targets, read piece by piece, shuffled when they are written so that training reads in order.

A token folder holds `tokens.bin` (uint16 or uint32), `targets.bin` (uint8, not for pretraining text), `starts.npy`
(int64, where each sequence begins, one more than sequences), and `tokens.json` (what it is and how it was made). A
preference is three sequences in a row: prompt, chosen, rejected.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from raylib.errors import TrainingError
from training.encoding import Encoded, TokenOptions, Tools, encode, encode_there, packed
from training.shuffle import Spill, join

__all__ = ["TokenOptions", "TokenSet", "count_tokens", "tokenize"]

Array = np.ndarray[Any, Any]
Kind = Literal["pretrain", "sft", "preference"]
_BATCH = 1000  # records that are encoded at once
_SMALL = 16 << 20  # bytes of input that are not worth starting processes for
_BUCKET = 64 << 20  # bytes of input whose samples are shuffled at once


class TokenSet:
    """A token folder, opened: nothing is read until it is asked for."""

    def __init__(self, path: str | Path) -> None:
        folder = Path(path)
        if not (folder / "tokens.json").is_file():
            raise TrainingError(f"{path} is no token folder (no tokens.json); `raylib tokenize` makes one")
        self.path = folder
        self.info: dict[str, Any] = orjson.loads((folder / "tokens.json").read_bytes())
        self.kind: Kind = self.info["kind"]
        self.starts: Array = np.load(folder / "starts.npy", mmap_mode="r")
        self.tokens = _Values(folder / "tokens.bin", np.dtype(self.info["dtype"]), self.info["tokens"])
        self.targets: _Values | None = None
        if self.kind != "pretrain":
            self.targets = _Values(folder / "targets.bin", np.dtype(np.uint8), self.info["tokens"])
        if int(self.starts[-1]) != self.info["tokens"]:
            raise TrainingError(f"{path} is damaged: the index ends at {int(self.starts[-1])}, tokens.json says {self.info['tokens']}")  # fmt: skip

    def __len__(self) -> int:
        """Sequences; of preferences, pairs."""
        return (len(self.starts) - 1) // (3 if self.kind == "preference" else 1)

    def sequence(self, number: int) -> tuple[Array, Array | None]:
        """Tokens and targets of one sequence."""
        a, b = int(self.starts[number]), int(self.starts[number + 1])
        return self.tokens[a:b], None if self.targets is None else self.targets[a:b]


class _Values:
    """A file of numbers that is read piece by piece. Not mapped: pages of a mapping count as the worker's memory until
    something else wants them, and over a terabyte that looks like a leak and evicts what the model needs."""

    def __init__(self, path: Path, dtype: Any, count: int) -> None:
        if path.stat().st_size != count * dtype.itemsize:
            raise TrainingError(f"{path} is damaged: {path.stat().st_size} bytes, expected {count * dtype.itemsize}")
        self._dtype, self._count = dtype, count
        self._descriptor = os.open(path, os.O_RDONLY)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, part: slice) -> Array:
        first, last, _ = part.indices(self._count)
        size = self._dtype.itemsize
        return np.frombuffer(os.pread(self._descriptor, max(last - first, 0) * size, first * size), self._dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        whole = self[:]
        return whole if dtype is None else whole.astype(dtype)

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)


# ---- making them ----------------------------------------------------------------------------------


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
    files = _files(sources)
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
    with _Encoder(tokenizer, tokenizer_path, kind, options, work, parallel=total > _SMALL) as encoder:
        for number, (name, path) in enumerate(files):
            target = work / f"{number:06d}"
            if (target / "part.json").is_file():
                done_before += 1
            else:
                spill = Spill(target, width=width, buckets=buckets, seed=(options.seed, number))
                for encoded in encoder.encoded(path, name):
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


def _files(sources: Sequence[str]) -> list[tuple[str, str]]:
    """(default source name, path) of every file, in order; of a run's folder its kept files."""
    from raylib.sources import find_files

    found = []
    for source in sources:
        place = f"{source.rstrip('/')}/kept" if (Path(source) / "manifest.jsonl").is_file() else source
        found += [(f.path.rsplit("/", 1)[-1].split(".", maxsplit=1)[0], f.path) for f in find_files(place)[0]]
    return found


def _key(files: Sequence[tuple[str, str]], tokenizer_path: str, options: TokenOptions) -> str:
    facts: list[Any] = [vars(options)]
    for _, path in files:
        status = os.stat(path) if os.path.exists(path) else None
        facts.append([path, status.st_size if status else 0, status.st_mtime_ns if status else 0])
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        file = Path(tokenizer_path) / name
        facts.append([name, hashlib.blake2b(file.read_bytes(), digest_size=8).hexdigest() if file.is_file() else ""])
    return hashlib.blake2b(orjson.dumps(facts), digest_size=8).hexdigest()


def _tables(path: str, kind: str = "auto") -> Iterator[pa.Table]:
    import pyarrow.parquet as pq

    from raylib.stage import tables_of

    if path.endswith(".parquet"):
        schema = pq.read_schema(path)
        if {"messages", "text", "prompt"} & set(schema.names) and "id" in schema.names:
            for batch in pq.ParquetFile(path).iter_batches(5000):
                yield pa.Table.from_batches([batch])
            return
    yield from tables_of(path, kind)


def _guess(files: Sequence[tuple[str, str]]) -> Kind:
    for _, path in files:
        for table in _tables(path):
            if "chosen" in table.column_names:
                return "preference"
            return "sft" if "messages" in table.column_names else "pretrain"
    raise TrainingError("no records to tokenise")


class _Encoder:
    """Turns tables into tokens: in this process, or in one process a core for inputs that are worth starting them.

    One process a core beats the threads of one tokenizer, as handling what it returns is work of Python too.
    """

    def __init__(self, tokenizer: Any, path: str, kind: str, options: TokenOptions, work: Path, *, parallel: bool) -> None:  # fmt: skip
        self._kind, self._options = kind, options
        self._wanted = {"pretrain": "document", "sft": "conversation", "preference": "preference"}[kind]
        self._cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._pool: Any = None
        self._tools: Any = Tools(tokenizer, kind, options)
        self._place = (str(path), str(work / "tokenizer.json"), (tokenizer.bos_token_id, tokenizer.eos_token_id))
        if parallel and self._cores > 1:
            from joblib import Parallel

            if kind == "pretrain" and self._tools.backend is not None:
                self._tools.backend.save(self._place[1])
            self._pool = Parallel(n_jobs=self._cores, return_as="generator", pre_dispatch="3*n_jobs", batch_size=1)

    def __enter__(self) -> _Encoder:
        if self._pool is not None:
            self._pool.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        if self._pool is not None:
            self._pool.__exit__(*exception)

    def encoded(self, path: str, name: str) -> Iterator[Encoded]:
        """The file's records, batch after batch, in their order."""
        if self._pool is None:
            for rows, sources in self._batches(path, name, _BATCH):
                yield encode(rows, sources, self._tools, self._options, self._kind)
            return
        from joblib import delayed

        tasks = (
            delayed(encode_there)(packed(rows), sources, self._place, self._options, self._kind)
            for rows, sources in self._batches(path, name, 4 * _BATCH)
        )
        yield from self._pool(tasks)

    def _batches(self, path: str, name: str, size: int) -> Iterator[tuple[pa.Table, list[str]]]:
        for table in _tables(path, self._wanted):
            sources = [s or name for s in table["source"].to_pylist()]
            for begin in range(0, len(table), size):
                yield table.slice(begin, size), sources[begin : begin + size]


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(data)
    os.replace(temporary, path)


def count_tokens(sources: Sequence[str], tokenizer_path: str) -> dict[str, dict[str, int]]:
    """Documents, characters and tokens by source, without writing anything."""
    from quality.mixture import mixture_of
    from raylib.tokenizer import load_tokenizer

    tokenizer = load_tokenizer(tokenizer_path)

    def named(path: str, name: str) -> Iterator[pa.Table]:
        for table in _tables(path):
            source = pc.if_else(pc.equal(pc.fill_null(table["source"], ""), ""), name, table["source"])
            yield table.set_column(table.column_names.index("source"), "source", source)

    return mixture_of(itertools.chain.from_iterable(named(path, name) for name, path in _files(sources)), "source", tokenizer)  # fmt: skip
