"""The sections `input`, `output` and `engine` of a recipe."""

from __future__ import annotations

from typing import Literal

import pydantic
from pydantic import Field

__all__ = ["EngineOptions", "InputOptions", "Options", "OutputOptions"]


class Options(pydantic.BaseModel):
    """A section of a recipe: unknown keys are errors, values cannot be changed."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=False)


class InputOptions(Options):
    """The `input` section of a recipe; the descriptions of the fields are in docs/recipes.md."""

    path: str | list[str] = Field(
        description="Path of the input: a file, glob, folder or URI, or a list of these. A folder stands for all files "
        "below it whose extension is known, without hidden ones; the folder of a run stands for what it kept."
    )
    kind: Literal["auto", "document", "conversation", "preference", "feedback", "safety"] = Field(
        "auto", description="Kind of the records. `auto` decides by the first record."
    )
    encoding: str = Field(
        "auto",
        description="Character encoding of text files: the name of a Python codec, or `auto`, which recognises UTF-8, "
        "GB18030 and Big5, and UTF-16 and UTF-32 with a byte order mark.",
    )
    text: str | list[str] | None = Field(
        None,
        description="Field that holds the text of a document, or a list of fields whose values are joined by "
        "newlines. By default, the usual names (`text`, `content`, `body`, ...) are looked for.",
    )
    document_per: Literal["file", "line"] = Field(
        "file", description="What one document is in a text file: the whole `file`, or a `line`."
    )
    source: str = Field(
        "", description="Value of `source` for records that have none. If empty, the file's name without extensions."
    )
    max_record_mb: float = Field(
        64, gt=0, le=512, description="Largest size of a line or document in MiB. Larger ones are rejected."
    )
    max_expansion: float = Field(
        200,
        ge=1,
        description="Largest factor by which a compressed file may grow. A file that grows by more, and to over "
        "256 MiB, is rejected as a decompression bomb.",
    )


class OutputOptions(Options):
    """The `output` section of a recipe; the descriptions of the fields are in docs/recipes.md."""

    path: str = Field(description="Path (or URI) of the run's folder.")
    format: Literal["parquet", "jsonl", "arrow"] = Field(
        "parquet", description="Format of the kept records. `jsonl` files are compressed by zstd."
    )
    layout: Literal["", "data", "alpaca", "sharegpt", "openai", "firefly", "r1", "moss", "mnbvc", "belle"] = Field(
        "",
        description="Layout in which conversations, preferences and feedback are written to `jsonl` files. If empty, "
        "the columns of the record's kind.",
    )
    samples: int = Field(
        100, ge=0, le=1000, description="Number of kept and number of rejected records that the report shows."
    )
    tokenizer: str = Field(
        "",
        description="Path of a `tokenizer.json` or its folder, with which kept tokens are counted. If empty, tokens "
        "are not counted.",
    )
    split_by: str = Field(
        "",
        description="Name of a column, such as `stage`, by which kept records are split: each of its values gets a "
        "folder (`kept/stage1`, `kept/stage2`, ...), and `splits.json` lists what each folder holds. A text of over "
        "120 bytes, or with other signs than letters, digits, `_`, `-` and `.`, gives its folder its beginning and a "
        "hash, so that no two share one. A column with over 100 values in a shard ends the run.",
    )
    check_space: bool = Field(
        True,
        description="Whether a run that needs more disk space than `path` has, by an estimate from the size of the "
        "input, ends with an error before it starts.",
    )


class EngineOptions(Options):
    """The `engine` section of a recipe; the descriptions of the fields are in docs/recipes.md."""

    mode: Literal["ray", "inline"] = Field(
        "ray", description="Where tasks run: on `ray`, or `inline`, in this process and without Ray."
    )
    address: str = Field(
        "",
        description="Address of a running Ray cluster. If empty, the cluster that the environment names, or else a "
        "local Ray that is started and stopped with the run.",
    )
    actors: int | None = Field(None, ge=1, description="Number of worker actors. By default, one per CPU.")
    batch_mb: float | None = Field(
        None,
        gt=0,
        le=1024,
        description="Size of a task's input in decompressed megabytes; a task is what is worked on, committed and "
        "retried as one. By default 4 or 8, depending on the size of the input.",
    )
    retries: int = Field(
        3, ge=1, description="Number of times a task is tried. A shard whose task fails every time is quarantined."
    )
    task_minutes: float | None = Field(
        None,
        gt=0,
        description="Number of minutes that a worker may take for a task. A worker that takes longer is ended, and the "
        "task is tried again. By default there is no limit; a task that takes long is named in the log.",
    )
    resolve_mb: float = Field(
        128,
        gt=0,
        description="Megabytes of rows that one task of a shuffle may hold. Where there are more, the shuffle gets "
        "more key ranges.",
    )
    dashboard: bool = Field(False, description="Whether a local Ray starts its dashboard.")
    work_while_starting: float = Field(
        4.0,
        ge=0,
        description="Process inputs in the driver while a local Ray starts if one core would finish them within this "
        "many seconds. 0 disables it.",
    )
    seed: int = Field(0, description="Seed of everything that is sampled.")
    keep_work: bool = Field(
        True,
        description="Whether intermediate shards are kept, so that a changed recipe repeats only the stages that "
        "changed and those after them.",
    )
    check_content: bool | None = Field(
        None,
        description="Whether a run that is continued checks the content of every file that it takes over, and makes "
        "damaged ones anew. It reads them all for that. By default, it does so on a disk, and checks sizes alone in "
        "object storage.",
    )
    gpus_per_model: float = Field(
        1.0,
        gt=0,
        description="Number of GPUs, or the share of one, for an actor that runs a stage with a model, where the "
        "cluster has GPUs.",
    )
