"""`raylib.read`: the start of a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from raylib.dataset.dataset import Dataset
from raylib.recipe import Recipe

__all__ = ["read"]


def read(
    path: str | Path | Sequence[str | Path],
    *,
    kind: str = "auto",
    encoding: str = "auto",
    text: str | Sequence[str] | None = None,
    **options: object,
) -> Dataset:
    """Start a dataset. Nothing is read yet.

    >>> import raylib
    >>> ds = raylib.read("pages/pages.jsonl").strip_markup().length(min=100).exact_dedup()
    >>> ds.count()
    178
    >>> reasons = ds.rejected.to_pandas()["reason"]
    >>> int((reasons == "exact_duplicate").sum())
    10

    Args:
        path: Path of a file, glob, folder or URI, or a list of these. Formats are jsonl, JSON arrays, Parquet, Arrow,
            CSV, TSV, text, zip and tar, also compressed by gzip, zstd, bz2 or xz.
        kind: Kind of the records: auto, document, conversation, preference or safety.
        encoding: Character encoding: the name of a codec, or `auto`.
        text: For documents, the field (or fields) that hold the text.
        options: Further keys of the recipe's `input` section.

    Returns:
        A dataset without any steps.

    Raises:
        RecipeError: An option is unknown or wrong.
    """
    paths = [str(p) for p in path] if isinstance(path, (list, tuple)) else str(path)
    data: dict[str, object] = {"path": paths, "kind": kind, "encoding": encoding, **options}
    if text is not None:
        data["text"] = text if isinstance(text, str) else list(text)
    recipe = Recipe.from_dict({"input": data, "output": {"path": "-"}}, "read()")
    return Dataset(recipe.input)
