"""Checks of this machine before a run: what Ray needs, compilers, shared memory, disks, accelerators."""

from __future__ import annotations

import os
import shutil
import time
from importlib import import_module
from pathlib import Path
from typing import Literal

from raylib.cluster import surroundings
from raylib.cluster.surroundings import Finding
from raylib.versions import package_version
from training.model.operators import extensions_folder

__all__ = ["examine"]


def examine(output: str = ".") -> list[Finding]:
    """Check everything that is worth a look before a long run on this machine.

    Args:
        output: Folder in which runs will be written.
    """
    return [
        *_packages(),
        *surroundings.examine(),
        _compiler(),
        _shared_memory(),
        _disk(output),
        *_accelerators(),
        _tokenizers(),
        _extensions(),
    ]


def _packages() -> list[Finding]:
    found = []
    for name, why in (("torch", "training"), ("transformers", "models"), ("deepspeed", "ZeRO"), ("ray", "workers")):
        version = package_version(name)
        if version:
            found.append(Finding("ok", name, version))
        else:
            found.append(Finding("fail", name, "not installed", f"pip install 'raylib-data[train]' ({why} needs it)"))
    return found


def _compiler() -> Finding:
    missing = [tool for tool in ("g++", "ninja") if shutil.which(tool) is None and not package_version(tool)]
    if missing:
        fix = (
            "install g++ 9 or later and ninja; DeepSpeed compiles its offload and shared-memory operators when they "
            "are first used"
        )
        return Finding("warn", "compiler", f"{' and '.join(missing)} not found", fix)
    return Finding("ok", "compiler", "g++ and ninja are installed")


def _shared_memory() -> Finding:
    place = Path("/dev/shm")
    if not place.is_dir():
        return Finding("warn", "/dev/shm", "missing", "mount a tmpfs there: workers exchange tensors through it")
    free = shutil.disk_usage(place).free / 2**30
    stale = [p for name in ("nccl-*", "deepspeed_*") for p in place.glob(name) if p.stat().st_uid == os.getuid()]
    if stale:
        size = sum(p.stat().st_size for p in stale) / 2**30
        found = f"{len(stale)} segments of NCCL or DeepSpeed, {size:.1f} GiB"
        fix = f"rm /dev/shm/nccl-* /dev/shm/deepspeed_* when no run is active ({free:.1f} GiB free)"
        return Finding("warn", "/dev/shm", found, fix)
    if free < 1:
        fix = "give the container more shared memory (--shm-size=16g)"
        return Finding("fail", "/dev/shm", f"{free:.2f} GiB free", fix)
    return Finding("ok", "/dev/shm", f"{free:.1f} GiB free")


def _disk(output: str) -> Finding:
    place = Path(output).absolute()
    while not place.exists():
        place = place.parent
    if place.is_file():
        return Finding(
            "fail", f"disk of {output}", f"{place} is a file", "name the folder in which runs will be written"
        )
    usage = shutil.disk_usage(place)
    if not usage.total:
        return Finding("fail", f"disk of {output}", f"{place} holds no files", "name a folder on a disk")
    share = usage.used / usage.total
    words = f"{usage.free / 2**30:,.0f} GiB free, {share:.0%} used"
    if share >= 0.95:
        return Finding("fail", f"disk of {output}", words, "free some space: a run stops at 95 %")
    if share >= 0.8:
        fix = "a checkpoint takes 16 bytes per parameter, and `keep` of them stay"
        return Finding("warn", f"disk of {output}", words, fix)
    return Finding("ok", f"disk of {output}", words)


def _accelerators() -> list[Finding]:
    if not package_version("torch"):
        return []
    torch = import_module("torch")
    if not torch.cuda.is_available():
        return [Finding("warn", "accelerator", "none; training runs on the CPU", "for tests and tiny models only")]
    found = []
    for i in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(i)
        level: Literal["ok", "warn"] = "ok" if free > 0.9 * total else "warn"
        fix = "" if level == "ok" else "another process uses its memory (see nvidia-smi)"
        memory = f"{free / 2**30:.0f} of {total / 2**30:.0f} GiB free"
        found.append(Finding(level, f"GPU {i}", f"{torch.cuda.get_device_name(i)}, {memory}", fix))
    if torch.cuda.device_count() > 1:
        joined = all(torch.cuda.can_device_access_peer(0, i) for i in range(1, torch.cuda.device_count()))
        if not joined:
            fix = "ZeRO-3 will be slow over PCIe; prefer ZeRO-2 or fewer workers"
            found.append(Finding("warn", "interconnect", "GPUs do not reach each other's memory", fix))
    return found


def _tokenizers() -> Finding:
    value = os.environ.get("TOKENIZERS_PARALLELISM", "")
    if value.lower() in ("1", "true"):
        return Finding("warn", "TOKENIZERS_PARALLELISM", value, "unset it: workers fork after the tokenizer was used")
    return Finding("ok", "TOKENIZERS_PARALLELISM", value or "unset; workers set it to false")


def _extensions() -> Finding:
    folder = extensions_folder()
    old = [p for p in folder.glob("**/lock") if time.time() - p.stat().st_mtime > 600]
    if old:
        fix = f"rm {old[0]}; other programs wait for it forever, while raylib removes such files in its own folder"
        return Finding("warn", "compiled operators", f"{len(old)} lock files of processes that are gone", fix)
    return Finding("ok", "compiled operators", str(folder))
