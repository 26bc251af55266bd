"""The folder of a run: its name, `run.json` about its configuration, and `result.json` about its end."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypedDict

import orjson

from raylib.atomic import write_atomically
from raylib.errors import TrainingError
from raylib.foreign_json import read_json
from raylib.versions import package_version
from training.config import TrainConfig

__all__ = ["Result", "prepare_folder", "run_folder"]


_RESULT = "result.json"


@dataclass(frozen=True)
class Result:
    """How a run ended.

    Attributes:
        folder: Folder of the run.
        step: Last step of the last phase.
        finished: Whether all steps were done.
        metrics: Metrics of the last step.
    """

    folder: str
    step: int
    finished: bool
    metrics: dict[str, float]

    def write(self) -> None:
        """Write `result.json` for the launching process and for users."""
        write_atomically(Path(self.folder) / _RESULT, orjson.dumps(asdict(self)))

    @classmethod
    def read(cls, folder: Path) -> Result:
        """Read the result that a run left in its folder; there is none while it runs."""
        return cls(**orjson.loads((folder / _RESULT).read_bytes()))


class _Held(TypedDict):
    """What is looked at in the `run.json` of an earlier run."""

    fingerprint: str
    config: dict[str, object]


def run_folder(config: TrainConfig) -> Path:
    """The folder of a run. A missing name is generated from model, objective, host and time."""
    if config.name:
        return Path(config.output) / config.name
    model = Path(config.model.path).name if config.model.path else str(config.model.shape.get("model_type", "model"))
    now = time.strftime("%Y%m%d-%H%M%S")
    return Path(config.output) / f"{model}-{config.objective}-{platform.node()}-{now}-{os.getpid()}"


def prepare_folder(folder: Path, config: TrainConfig, workers: int) -> None:
    """Write the resolved configuration, the command, revision and versions to `run.json`.

    Args:
        folder: Folder of the run.
        config: The run.
        workers: Number of workers.

    Raises:
        TrainingError: if the folder holds a run with another configuration.
    """
    folder.mkdir(parents=True, exist_ok=True)
    held = folder / "run.json"
    facts = {
        "fingerprint": config.fingerprint(),
        "config": config.describe(),
        "command": sys.argv,
        "revision": _revision(),
        "versions": {p: package_version(p) for p in ("torch", "transformers", "deepspeed", "ray", "raylib-data")},
        "host": platform.node(),
        "workers": workers,
    }
    if held.is_file():
        old = read_json(held, _Held, TrainingError)
        if old["fingerprint"] != facts["fingerprint"] and not _is_same(old["config"], config):
            raise TrainingError(f"{folder} holds a run with another configuration; give this one another name")
    write_atomically(held, orjson.dumps(facts, option=orjson.OPT_INDENT_2))
    (folder / _RESULT).unlink(missing_ok=True)


def _is_same(described: object, config: TrainConfig) -> bool:
    """Whether a run that an earlier version described, with relative paths, has this configuration."""
    try:
        return TrainConfig.from_dict(described).fingerprint() == config.fingerprint()
    except TrainingError:  # it has fields that are no longer known
        return False


def _revision() -> str:
    """Git revision of the working directory; empty without one."""
    git = shutil.which("git")
    if git is None:
        return ""
    done = subprocess.run([git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip()
