"""The output folder of a run: opened, checked, cleared."""

from __future__ import annotations

import os

from raylib.errors import SourceError
from raylib.storage.manifest import manifest_parts
from raylib.storage.store import Store

__all__ = ["start_store"]


def start_store(root: str, *, fresh: bool) -> Store:
    """Open the output folder of a run; refuses a folder that holds something other than a run.

    With `fresh`, an earlier run's files are deleted first.
    """
    store = Store(root)
    ours = store.exists("manifest.jsonl")
    if store.local and not ours:
        folder = store.path("")
        if os.path.isdir(folder) and any(not n.startswith(".") for n in os.listdir(folder)):
            raise SourceError(
                f"output.path {root!r} is not empty and holds no run of raylib (no manifest.jsonl); choose another folder"
            )
    if fresh and ours:
        for folder in ("kept", "rejected", ".work"):
            store.delete_folder(folder)
        for name in (
            *reversed(manifest_parts(store)),  # the first one last: it says that this is a run
            "summary.json",
            "report.html",
            "recipe.yaml",
            "samples.json",
            "sections.json",
            "splits.json",
        ):
            if store.exists(name):
                store.delete(name)
    return store
