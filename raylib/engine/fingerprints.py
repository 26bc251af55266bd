"""Fingerprints of everything that determines the bytes of a run, by which a resumed run recognises finished work."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import orjson

from raylib.recipe import StageSpec
from raylib.stage import adapted

__all__ = ["FORMAT", "digest", "stage_identity"]


def digest(*parts: Any) -> str:
    """Hash of plain data, 32 hexadecimal digits."""
    data = orjson.dumps(parts, option=orjson.OPT_SORT_KEYS, default=repr)
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def stage_identity(spec: StageSpec | None) -> Any:
    """What of a stage determines its output: name, parameters, the content of files it names, its own `identity`."""
    if spec is None:
        return None
    if spec.object is not None:
        import cloudpickle

        return [spec.name, hashlib.blake2b(cloudpickle.dumps(spec.object), digest_size=16).hexdigest()]
    described = spec.describe()
    files: dict[str, Any] = {}
    stage = spec.make()
    given = [v for value in described[spec.name].values() for v in (value if isinstance(value, list) else [value])]
    for value in given:
        if isinstance(value, str) and value and len(value) < 1000 and os.path.exists(value):
            inside = [value] if os.path.isfile(value) else sorted(str(p) for p in Path(value).glob("*") if p.is_file())
            files |= {name: _file_identity(name) for name in inside}
    return [described, files, adapted(stage).identity()]


def _file_identity(path: str) -> list[Any]:
    status = os.stat(path)
    small = status.st_size <= 64 << 20
    content = hashlib.blake2b(Path(path).read_bytes(), digest_size=16).hexdigest() if small else ""
    return [status.st_size, content or status.st_mtime_ns]


FORMAT = 1  # raise it when the bytes that a run writes change for the same recipe
