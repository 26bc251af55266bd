"""`raylib.read`: the start of a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from raylib.dataset.dataset import Dataset
from raylib.errors import WrongTypeError
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
            CSV, TSV, text, zip and tar, also compressed by gzip, zstd, bz2 or xz. The folder of a run stands for what
            it kept; of another folder hidden files are passed over, and the dataset shows what was, once it has run.
        kind: Kind of the records: auto, document, conversation, preference, feedback or safety.
        encoding: Character encoding: the name of a codec, or `auto`.
        text: For documents, the field (or fields) that hold the text.
        options: Further keys of the recipe's `input` section.

    Returns:
        A dataset without any steps.

    Raises:
        RecipeError: An option is unknown or wrong.
        WrongTypeError: The path is no path, but a DataFrame, for example.
    """
    given = list(path) if isinstance(path, (list, tuple)) else [path]
    for item in given:
        if not isinstance(item, (str, Path)):
            raise WrongTypeError(
                f"read() takes the path of a file, glob, folder or URI, or a list of these, not {_described(item)}; "
                "write records to a file first, such as df.to_parquet('records.parquet')"
            )
    paths = [str(p) for p in given] if isinstance(path, (list, tuple)) else str(path)
    data: dict[str, object] = {"path": paths, "kind": kind, "encoding": encoding, **options}
    if text is not None:
        data["text"] = text if isinstance(text, str) else list(text)
    recipe = Recipe.from_dict({"input": data, "output": {"path": "-"}}, "read()")
    return Dataset(recipe.input)


def _described(value: object) -> str:
    """The type of a value with its package, as users know it."""
    kind = type(value)
    package = kind.__module__.split(".")[0]
    return kind.__name__ if package == "builtins" else f"{package}.{kind.__name__}"
