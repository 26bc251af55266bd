"""The sections `input`, `output` and `engine` of a recipe."""

from __future__ import annotations

from typing import Literal

import pydantic

__all__ = ["EngineOptions", "InputOptions", "Options", "OutputOptions"]


class Options(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=False)


class InputOptions(Options):
    """The `input` part of a recipe.

    path: file, glob, folder, URI, or a list of these.
    kind: auto, document, conversation, preference or safety. auto looks at the first record.
    encoding: auto (UTF-8, GB18030, Big5, UTF-16/32 with a byte order mark) or a codec name.
    text: for documents, the field (or list of fields, joined by newlines) that holds the text.
    document_per: for .txt files, one document a `file` or a `line`.
    source: value of `source` for records that have none; default: the file's name.
    max_record_mb: longer lines and documents go to the rejects.
    max_expansion: how many times a compressed file may grow before it is taken for a bomb.
    """

    path: str | list[str]
    kind: Literal["auto", "document", "conversation", "preference", "safety"] = "auto"
    encoding: str = "auto"
    text: str | list[str] | None = None
    document_per: Literal["file", "line"] = "file"
    source: str = ""
    max_record_mb: float = pydantic.Field(64, gt=0, le=512)
    max_expansion: float = pydantic.Field(200, ge=1)


class OutputOptions(Options):
    """The `output` part of a recipe.

    path: folder (or URI) of the run. format: of the kept records: parquet, jsonl (zstd) or arrow.
    layout: for jsonl, write conversations back as data, alpaca, sharegpt or openai.
    samples: how many kept and how many rejected records the report shows.
    tokenizer: path of a tokenizer.json (or its folder): kept tokens are counted with it.
    split_by: a column, such as `stage`: kept records go to one folder for each of its values (`kept/stage1`,
    `kept/stage2` ...), and `splits.json` says what each holds.
    """

    path: str
    format: Literal["parquet", "jsonl", "arrow"] = "parquet"
    layout: Literal["", "data", "alpaca", "sharegpt", "openai"] = ""
    samples: int = pydantic.Field(100, ge=0, le=1000)
    tokenizer: str = ""
    split_by: str = ""


class EngineOptions(Options):
    """The `engine` part of a recipe.

    mode: ray or inline (this process, no Ray). address: of a running cluster; empty: the one of the
    environment, or a local one that is started and stopped with the run. actors: workers; empty: one
    a CPU. batch_mb: raw megabytes of one task, the unit of work, commit and retry; empty: 4 or 8 by
    the size of the input. retries: how often a task is tried before its shard is quarantined. resolve_mb: megabytes of rows that a task of a shuffle may hold; a round gets
    more key ranges where there is more.
    dashboard: start Ray's dashboard with a local cluster. work_while_starting: an input
    that one core is done with in about so many seconds is worked on while a local Ray comes up; 0: never. seed: of everything that is sampled.
    keep_work: keep intermediate shards, so that a changed recipe redoes only what changed.
    gpus_per_model: GPUs (or a share of one) of an actor that runs a stage with a model, where the cluster has GPUs.
    """

    mode: Literal["ray", "inline"] = "ray"
    address: str = ""
    actors: int | None = pydantic.Field(None, ge=1)
    batch_mb: float | None = pydantic.Field(None, gt=0, le=1024)
    retries: int = pydantic.Field(3, ge=1)
    resolve_mb: float = pydantic.Field(128, gt=0)
    dashboard: bool = False
    work_while_starting: float = pydantic.Field(4.0, ge=0)
    seed: int = 0
    keep_work: bool = True
    gpus_per_model: float = pydantic.Field(1.0, gt=0)
