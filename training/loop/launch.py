"""Starting the workers of a run: in this process, as local processes, or with Ray Train."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import orjson
import torch

from raylib import termination
from raylib.errors import TrainingError
from raylib.locking import locked
from raylib.model_folders import model_folder, tokenizer_folder
from raylib.outputs import output_folder, refuse_job_package
from raylib.paths import paths_in
from training.config import TrainConfig
from training.loop.devices import takes_gpus, worker_environment
from training.loop.failure import decisive, failures_in
from training.loop.folder import Result, run_folder
from training.loop.logs import log_to_console
from training.loop.loop import Loop

__all__ = ["Mode", "run", "single_process_group"]

logger = logging.getLogger(__name__)

_PATIENCE = 45.0  # seconds for workers to end; the launcher kills them after 30

Mode = Literal["auto", "here", "local", "ray"]


def run(
    config: TrainConfig, *, mode: Mode = "auto", address: str = "", say: Callable[[str], None] | None = None
) -> Result:
    """Train, or continue the run of that name if it was interrupted.

    Args:
        config: The run. Without a name it gets a new folder, so it cannot be continued.
        mode: Where workers run. `here` is this process; `local` starts processes on this machine with
            torch.distributed.run; `ray` uses Ray Train (v2) and its failure policy; `auto` is `here` for a single
            worker with the plain backend and `ray` otherwise.
        address: Address of a Ray cluster. If empty, the one of the environment is used, or a local one is started.
        say: Receives lines for people in mode `here`; by default they are logged, and shown on the console unless the
            program has set up logging.

    Returns:
        How the run ended.

    Raises:
        TrainingError: if the run cannot start or continue, on whichever worker.
        LockedError: if another process is training into the same folder.
    """
    log_to_console()
    if mode == "auto":
        mode = "here" if config.parallel.workers == 1 and config.parallel.backend == "plain" else "ray"
    _check(config, elsewhere=mode == "ray")
    config = replace(config, name=run_folder(config).name).located()
    folder = run_folder(config).absolute()
    output_folder(folder.parent, "output")
    with locked(folder):
        if mode == "here":
            return _here(config, folder, say)
        return _local(config, folder) if mode == "local" else _ray(config, folder, address)


def _check(config: TrainConfig, *, elsewhere: bool) -> None:
    """Find what is missing before anything starts.

    Args:
        config: The run.
        elsewhere: Whether workers may run on other machines, on which alone absolute paths may exist.

    Raises:
        RaylibError: Names the field, and the folder that was looked in.
    """
    refuse_job_package(config.output, "output")
    if not config.model.path and not config.model.shape:
        raise TrainingError("model: give `path`, the folder of a model, or `shape` for a new one")
    if not config.phases and not config.data.train:
        raise TrainingError("data.train is empty: give [{path: FOLDER}], a folder that `raylib tokenize` wrote")
    if not elsewhere and config.parallel.gpus == "yes" and not torch.cuda.is_available():
        raise TrainingError("parallel.gpus: yes, but this machine has no GPU that torch can use")
    for name, path in paths_in(config):
        if "://" in path or (elsewhere and os.path.isabs(os.path.expanduser(path)) and not os.path.exists(path)):
            continue
        if name == "model.path":
            model_folder(path, name)
        elif name == "model.tokenizer":
            tokenizer_folder(path, name)
        elif not os.path.exists(os.path.expanduser(path)):
            raise TrainingError(f"{name}: {path!r} does not exist (looked in {os.getcwd()})")
        elif not os.path.isfile(os.path.join(os.path.expanduser(path), "tokens.json")):
            raise TrainingError(f"{name}: {path!r} is not a token folder (no tokens.json); `raylib tokenize` makes one")


def _here(config: TrainConfig, folder: Path, say: Callable[[str], None] | None) -> Result:
    """Run one worker in this process."""
    if config.parallel.workers > 1:
        raise TrainingError("mode here runs one process, but parallel.workers is greater; use mode local or ray")
    if config.parallel.backend == "deepspeed":
        single_process_group()
    loop = Loop(config, folder) if say is None else Loop(config, folder, say=say)
    return loop.run()


def single_process_group() -> None:
    """Create a process group of one worker, which DeepSpeed needs."""
    if torch.distributed.is_initialized():
        return
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    os.environ.setdefault("LOCAL_SIZE", "1")
    os.environ.setdefault("LOCAL_RANK", "0")
    with tempfile.NamedTemporaryFile(delete=False) as held:
        place = held.name
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    torch.distributed.init_process_group(backend, init_method=f"file://{place}", rank=0, world_size=1)


def _local(config: TrainConfig, folder: Path) -> Result:
    """Run workers as processes of this machine."""
    workers = config.parallel.workers
    gpus = takes_gpus(config, torch.cuda.device_count(), joined=False)
    logger.debug("starting %d workers by torch.distributed.run", workers)
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "config.json"
        file.write_bytes(orjson.dumps(config.describe()))
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={workers}"]
        command = [*launcher, "-m", "training.loop.worker", str(file), str(folder), place, str(os.getpid())]
        variables = {**os.environ, **worker_environment(config, gpus=gpus), "OMP_NUM_THREADS": "1"}
        status, errors = _run_launcher(command, variables)
        failure = decisive(failures_in(Path(place)))
    if failure is not None:
        raise failure.as_error()
    if status:  # killed, or gone before it could say why
        raise TrainingError(
            f"a worker ended without reporting why; the last lines of its output are:\n{errors[-2000:]}"
        )
    return Result.read(folder)


def _run_launcher(command: Sequence[str], variables: Mapping[str, str]) -> tuple[int, str]:
    """Run the launcher of local workers; returns its exit status and what it wrote to standard error.

    If this process is interrupted, the launcher is asked to end, because it ends the workers then; killing it at once
    would leave them behind for a second. If there is no time for that, it is killed. Ctrl-C in a terminal goes to all
    processes of a group, so the launcher has one of its own: it would show its own traceback.
    """
    with subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        termination.also_ends(process.pid)
        try:
            _, errors = process.communicate()
        except BaseException:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=_PATIENCE)
            process.kill()
            raise
        finally:
            termination.also_ends(process.pid, no_longer=True)
    return process.returncode, errors


def _ray(config: TrainConfig, folder: Path, address: str) -> Result:
    """Run workers with Ray Train, which restarts them after a failure."""
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    from training.loop.ray_launch import run_with_ray  # noqa: PLC0415 - loads Ray, which takes seconds

    return run_with_ray(config, folder, address)
