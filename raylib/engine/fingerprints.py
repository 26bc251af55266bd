"""Fingerprints of everything that determines the bytes of a run, by which a resumed run recognises finished work."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path

import cloudpickle
import orjson

from raylib.engine.tasks import Job
from raylib.paths import path_fields
from raylib.recipe import StageSpec
from raylib.stage import GlobalStage, LocalStage, adapted
from raylib.versions import versions

__all__ = ["FORMAT", "chain_keys", "digest", "stage_identity"]


FORMAT = 3  # raise it when the bytes that a run writes change for the same recipe
_READ_WHOLE = 64 << 20  # bytes; larger files are recognised by size and time


def digest(*parts: object) -> str:
    """Hash of plain data, 32 hexadecimal digits."""
    data = orjson.dumps(parts, option=orjson.OPT_SORT_KEYS, default=repr)
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def chain_keys(job: Job, limit: int | None) -> tuple[str, ...]:
    """Fingerprints of everything but the data that determines the output of each segment.

    Args:
        job: The run.
        limit: Most records to read.

    Returns:
        A fingerprint a segment; each covers those before it.
    """
    version = versions()["raylib"]
    reading = (job.kind, job.text_fields, job.default_source, asdict(job.read), limit)
    key = digest(FORMAT, version, *reading, job.seed, job.samples)
    keys = []
    for number, segment in enumerate(job.segments):
        stages = [stage_identity(s) for s in (segment.apply, *segment.local, segment.sketch)]
        tail = [job.output_format, job.layout, job.tokenizer, job.split_by] if number == job.last else []
        key = digest(key, stages, tail)
        keys.append(key)
    return tuple(keys)


def stage_identity(spec: StageSpec | None) -> object:
    """Whatever determines the output of a stage.

    Args:
        spec: The stage; None where a segment has none.

    Returns:
        Name, parameters without incidental ones, content of the files that they name, and the stage's own `identity`.
        Of an object that a user gave, its name and a hash of its pickle; of one with parameters, as ours are, these.
    """
    if spec is None:
        return None
    if spec.object is not None:
        if spec.parameters:
            return [spec.name, _influential(spec.parameters, adapted(spec.make()))]
        return [spec.name, hashlib.blake2b(cloudpickle.dumps(spec.object), digest_size=16).hexdigest()]
    made = spec.make()
    stage = adapted(made)
    parameters = _influential(spec.describe()[spec.name], stage)
    files = {name: _file_identity(name) for name in _named_files(parameters, made)}
    for values in spec.per_source.values():
        files |= {name: _file_identity(name) for name in _named_files(values, made)}
    return [{spec.name: parameters}, files, stage.identity()]


def _influential(parameters: Mapping[str, object], stage: LocalStage | GlobalStage) -> dict[str, object]:
    """The parameters that determine the output."""
    incidental = stage.incidental()
    return {name: value for name, value in parameters.items() if name not in incidental}


def _named_files(parameters: Mapping[str, object], stage: object) -> Iterator[str]:
    """Files that parameters name, and those in folders that they name.

    A stage of a user may leave it open which of its parameters are paths. A single word is not taken for a folder then:
    it may be a choice, such as `quality`, that happens to have the name of a folder.
    """
    paths = path_fields(type(stage)) if is_dataclass(stage) and not isinstance(stage, type) else frozenset()
    for name, value in parameters.items():
        for text in value if isinstance(value, list) else [value]:
            if not isinstance(text, str) or not text or len(text) >= 1000:
                continue
            if os.path.isfile(text):
                yield text
            elif os.path.isdir(text) and (name in paths or os.sep in text):
                yield from sorted(str(p) for p in Path(text).glob("*") if p.is_file())


def _file_identity(path: str) -> list[object]:
    status = os.stat(path)
    small = status.st_size <= _READ_WHOLE
    content = hashlib.blake2b(Path(path).read_bytes(), digest_size=16).hexdigest() if small else ""
    return [status.st_size, content or status.st_mtime_ns]
