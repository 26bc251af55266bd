"""Why a run could read none of its records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raylib.report.samples import Samples
from raylib.storage.names import RunFiles
from raylib.storage.store import Store

__all__ = ["why_nothing_was_read"]


def why_nothing_was_read(path: str, summary: Mapping[str, Any]) -> str:
    """Say why all records of a run were rejected at reading.

    Args:
        path: Folder of the run.
        summary: Content of its `summary.json`.

    Returns:
        One line with the most frequent reason and what it says of a record; empty if a record was read.
    """
    unread = {reason: n for reason, n in summary["by_reason"].items() if reason.startswith("read/")}
    total = sum(unread.values())
    if not total or total < summary["records_in"]:
        return ""
    reason = max(unread, key=lambda name: unread[name]).removeprefix("read/")
    detail = _detail(path, reason)
    return f"all {total:,} records were rejected at reading ({reason}){': ' + detail if detail else ''}"


def _detail(path: str, reason: str) -> str:
    """What a sampled reject of this reason says."""
    store = Store(path)
    if not store.exists(RunFiles.SAMPLES):
        return ""
    samples = store.read_json(RunFiles.SAMPLES, Samples)["rejected"]
    details = (s["detail"] for s in samples if s["stage"] == "read" and s["reason"] == reason and s["detail"])
    return str(next(details, ""))
