"""A page of a run, live: progress, funnel, rejects with search. `raylib ui OUT` serves it.

Read-only. It binds to loopback and then answers only to loopback's names, so that no web page can reach it through a
name of its own; on any other address it asks for a token. Records are shown as text, never as HTML.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from raylib.errors import RaylibError
from raylib.report.statistics import add_counts
from raylib.storage.manifest import manifest_parts
from raylib.storage.store import Store

__all__ = ["RunView"]


_SHOWN = 4000  # characters of a text
_SEARCH_SECONDS = 2.0  # of one request; the next one goes on from there
_STATS_A_POLL = 100


class RunView:
    """What the folder of a run tells, followed while it grows."""

    def __init__(self, root: str) -> None:
        self.store = Store(root)
        if not manifest_parts(self.store) and not self.store.exists("metrics.jsonl"):
            raise RaylibError(f"{root} holds no run of raylib (no manifest.jsonl, and no metrics.jsonl of a training run)")  # fmt: skip
        self._entries: dict[tuple[str, str], dict[str, Any]] = {}
        self._plan: dict[str, Any] = {}
        self._read: dict[str, int] = {}
        self._counts: dict[str, Any] = {}
        self._seconds: dict[str, Any] = {}
        self._counted: set[tuple[str, str, str]] = set()
        self._last: dict[str, Any] = {}
        self._losses: dict[int, float] = {}  # by step; a resumed run tells some steps again
        self._evaluations: dict[int, float] = {}

    def state(self) -> dict[str, Any]:
        """Everything that the page shows besides records. Cheap: only what is new is read."""
        if self.store.exists("metrics.jsonl"):
            return self._training()
        self._follow()
        if self.store.exists("summary.json"):
            summary = orjson.loads(self.store.read("summary.json"))
            if summary.get("fingerprint") and not self._newer_than_summary():
                return self._finished(summary)
        return self._running()

    def _follow(self) -> None:
        for name in manifest_parts(self.store):
            for entry in self._new_entries(name):
                if "shard" in entry:
                    self._entries[entry["phase"], entry["shard"]] = entry
                elif "run" in entry:
                    self._plan = entry

    def _new_entries(self, name: str) -> list[dict[str, Any]]:
        """JSON lines that were completed since the last call; a shorter file is a run begun anew."""
        size, read = self.store.size(name) or 0, self._read.get(name, 0)
        if size == read:
            return []
        if size < read:
            self.__init__(self.store.root)  # type: ignore[misc]
            read = 0
        data = self.store.read(name, read)
        whole = data.rfind(b"\n") + 1
        self._read[name] = read + whole
        entries = []
        for line in data[:whole].splitlines():
            with contextlib.suppress(orjson.JSONDecodeError):
                entries.append(orjson.loads(line))
        return entries

    def _newer_than_summary(self) -> bool:
        """Whether a run began after the summary was written."""
        begun = float(self._plan.get("started", 0))
        return begun > self._written("summary.json")

    def _written(self, name: str) -> float:
        """When a file was last written, seconds since 1970; infinity where the storage does not tell."""
        system, root = self.store._open()
        written = system.get_file_info(f"{root}/{name}").mtime
        return math.inf if written is None else float(written.timestamp())

    def _count_new(self) -> int:
        """Add statistics of shards that were committed since; returns how many are still to do."""
        missing = [
            (key, entry) for key, entry in self._entries.items()
            if key[0].startswith("s") and key[0] != "stream" and (*key, entry["key"]) not in self._counted
        ]  # fmt: skip
        for (phase, shard), entry in missing[:_STATS_A_POLL]:
            name = f".work/{phase}/stats-{shard}.json"
            if name in entry["files"]:
                try:
                    part = orjson.loads(self.store.read(name))
                except (OSError, orjson.JSONDecodeError):
                    continue
                add_counts(self._counts, {k: part["counts"].get(k, {}) for k in ("stages", "reasons")})
                add_counts(self._seconds, part["seconds"])
            self._counted.add((phase, shard, entry["key"]))
        return max(0, len(missing) - _STATS_A_POLL)

    def _running(self) -> dict[str, Any]:
        left = self._count_new()
        first = [e for (p, _), e in self._entries.items() if p == "s0"]
        consumed: dict[str, int] = {}
        for (phase, shard), entry in self._entries.items():
            if phase == "s0":
                stem = shard.split("-")[0]
                consumed[stem] = max(consumed.get(stem, 0), entry.get("consumed", 0))
        segments = self._plan.get("segments", [])
        phases: dict[str, dict[str, Any]] = {}
        for phase, _ in self._entries:
            if phase != "stream":
                row = phases.setdefault(phase, {"phase": phase, "shards": 0, "title": _title(phase, segments)})
                row["shards"] += 1
        last = f"s{len(segments) - 1}" if segments else max((p for p in phases if p.startswith("s")), default="s0")
        rejected = sum(e.get("records_rejected", 0) for e in self._entries.values())
        stages = self._counts.get("stages", {})
        return {
            "kind": "recipe", "status": "running", "name": self._name(), "started": self._plan.get("started"), "now": time.time(),
            "records_in": sum(e["records_in"] for e in first), "records_rejected": rejected,
            "records_kept": sum(e.get("records_out", 0) for (p, _), e in self._entries.items() if p == last),
            "bytes_done": sum(consumed.values()), "bytes_total": self._plan.get("bytes"),
            "phases": list(phases.values()), "left_to_count": left, "quarantined": [],
            "stages": [{"name": n, **_numbers(c), "seconds": round(self._seconds.get(n, 0.0), 2)} for n, c in stages.items()],
            "reasons": sorted(self._counts.get("reasons", {}).items(), key=lambda kv: (-kv[1], kv[0])),
        }  # fmt: skip

    def _finished(self, summary: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "kind": "recipe", "status": "finished", "name": summary["name"], "started": self._plan.get("started"), "now": time.time(),
            "seconds": summary["seconds"], "records_in": summary["records_in"], "records_rejected": summary["records_rejected"],
            "records_kept": summary["records_kept"], "bytes_done": summary["bytes_in"], "bytes_total": summary["bytes_in"], "phases": [],
            "left_to_count": 0, "quarantined": [f"{q['shard']}: {q['error'].splitlines()[-1][:300]}" for q in summary["quarantined"]],
            "stages": [{"name": n, **_numbers(c), "seconds": c["seconds"]} for n, c in summary["by_stage"].items()],
            "reasons": list(summary["by_reason"].items()),
        }  # fmt: skip

    def _name(self) -> str:
        return self.store.root.rstrip("/").rsplit("/", 1)[-1]

    def _training(self) -> dict[str, Any]:
        for point in self._new_entries("metrics.jsonl"):
            step = point.get("total_step", point["step"])
            for name, kept in (("loss", self._losses), ("eval/loss", self._evaluations)):
                if point.get(name) is not None:  # no number is written as null
                    kept[step] = point[name]
            if "loss" in point:
                self._last = point
        losses, evaluations = (sorted(d.items()) for d in (self._losses, self._evaluations))
        stride = max(1, len(losses) // 500)
        return {
            "kind": "training", "status": self._training_status(), "name": self._name(), "now": time.time(),
            "last": self._last, "loss": losses[::-1][::stride][::-1], "evaluation": evaluations,
            "changed": self._written("metrics.jsonl"),
        }  # fmt: skip

    def _training_status(self) -> str:
        """A run has no result while it runs; one that the storage guard ended has not done all its steps."""
        if not self.store.exists("result.json"):
            return "running"
        return "finished" if orjson.loads(self.store.read("result.json"))["finished"] else "stopped"

    # ---- rejects ------------------------------------------------------------------------------

    def rejects(self, query: str = "", key: str = "", cursor: str = "", limit: int = 50) -> dict[str, Any]:
        """Rejected records of committed shards whose id, text or detail holds `query` (case is ignored).

        key: stage/reason, or the beginning of it. cursor: of the answer before. What cannot be searched in two seconds
        is left to the next request: an answer may hold no records and still a cursor.
        """
        begun = time.monotonic()
        names = self._rejected_files()
        first, offset = (int(part) for part in cursor.split(":")) if cursor else (0, 0)
        found: list[dict[str, Any]] = []
        for number in range(first, len(names)):
            position = 0
            for table in self._tables(names[number]):
                end = position + len(table)
                if end > offset:
                    rows = pa.table({n: table[n] for n in table.column_names}).append_column("row", pa.array(range(position, end)))  # fmt: skip
                    for row in _matching(rows.slice(max(0, offset - position)), query, key).to_pylist():
                        if len(found) == limit:
                            return {"records": found, "cursor": f"{number}:{row['row']}"}
                        found.append(_shown(row))
                    if time.monotonic() - begun > _SEARCH_SECONDS:
                        return {"records": found, "cursor": f"{number}:{end}"}
                position = end
            offset = 0
        return {"records": found, "cursor": ""}

    def _rejected_files(self) -> list[str]:
        self._follow()
        return sorted({n for e in self._entries.values() for n in e.get("files", {}) if n.startswith("rejected/")})

    def _tables(self, name: str) -> Iterator[pa.Table]:
        columns = ["id", "source", "stage", "reason", "detail", "text"]
        if name.endswith(".parquet"):
            system, root = self.store._open()
            with system.open_input_file(f"{root}/{name}") as stream:
                file = pq.ParquetFile(stream)
                held = [c for c in columns if c in file.schema_arrow.names]
                for batch in file.iter_batches(2000, columns=held or None):
                    yield pa.Table.from_batches([batch])
            return
        import zstandard

        system, root = self.store._open()
        with system.open_input_file(f"{root}/{name}") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as stream:
            rest, rows = b"", []
            while chunk := stream.read(1 << 20):
                *lines, rest = (rest + chunk).split(b"\n")
                rows = [orjson.loads(line) for line in lines if line]
                if rows:
                    yield pa.table({c: [_text(r.get(c)) for r in rows] for c in columns})


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else orjson.dumps(value).decode()


def _matching(table: pa.Table, query: str, key: str) -> pa.Table:
    if key:
        stage, _, reason = key.partition("/")
        table = table.filter(pc.equal(table["stage"], stage))
        if reason:
            table = table.filter(pc.equal(table["reason"], reason))
    if query and len(table):
        hits = None
        for name in ("id", "text", "detail"):
            if name in table.column_names and (pa.types.is_string(table[name].type) or pa.types.is_large_string(table[name].type)):  # fmt: skip
                found = pc.fill_null(pc.match_substring(table[name], query, ignore_case=True), False)
                hits = found if hits is None else pc.or_(hits, found)
        table = table.filter(hits) if hits is not None else table.slice(0, 0)
    return table


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    text = _text(row.get("text")) or ""
    cut = {"text": text[:_SHOWN], "characters": len(text)}
    return {k: (_text(row.get(k)) or "")[:_SHOWN] for k in ("id", "source", "stage", "reason", "detail")} | cut


def _numbers(counts: Mapping[str, Any]) -> dict[str, int]:
    return {k: counts[k] for k in ("in", "rejected", "changed")}


def _title(phase: str, segments: list[str]) -> str:
    """A phase in words: `s0` are the stages of the first segment, `r1.0.0` a round after the second one."""
    number = phase[1:].split(".", maxsplit=1)[0]
    place = segments[int(number)] if number.isdigit() and int(number) < len(segments) else phase
    return place if phase.startswith("s") else f"resolve after {place}"
