"""Model folders that would create a file if a loader ran what they carry."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

__all__ = ["KINDS", "Sign", "hostile_folder"]


class Sign:
    """Unpickling it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.path,)


def _code(folder: Path, sign: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(
        f"from pathlib import Path\nPath({str(sign)!r}).touch()\n"
        "class Evil:\n    @classmethod\n    def from_pretrained(cls, *a, **k): return cls()\n"
        "def generate(*a, **k): return None\n",
        "utf-8",
    )


def _change(file: Path, **values: Any) -> None:
    held = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    file.write_text(json.dumps({**held, **values}), "utf-8")


def _auto_map(folder: Path, sign: Path) -> None:
    _code(folder, sign, "evil.py")
    classes = ("AutoConfig", "AutoModel", "AutoModelForCausalLM", "AutoModelForSequenceClassification")
    _change(folder / "config.json", model_type="evil", auto_map=dict.fromkeys(classes, "evil.Evil"))


def _tokenizer_auto_map(folder: Path, sign: Path) -> None:
    _code(folder, sign, "evil.py")
    _change(
        folder / "tokenizer_config.json", tokenizer_class="Evil", auto_map={"AutoTokenizer": ["evil.Evil", "evil.Evil"]}
    )
    _change(folder / "config.json", model_type="evil")


def _pickle(folder: Path, sign: Path) -> None:
    for file in folder.glob("*.safetensors*"):
        file.unlink()
    torch.save({"weight": Sign(sign)}, folder / "pytorch_model.bin")


def _custom_generate(folder: Path, sign: Path) -> None:
    _code(folder, sign, "custom_generate/generate.py")
    _change(folder / "generation_config.json", custom_generate=str(folder))
    _change(folder / "config.json", trust_remote_code=True)


def _kernel(folder: Path, sign: Path) -> None:
    _code(folder, sign, "evil.py")
    _change(folder / "config.json", _attn_implementation=f"{folder}/evil")


def _adapter(folder: Path, sign: Path) -> None:
    other = folder.parent / f"{folder.name}_base"
    shutil.copytree(folder, other)
    _pickle(other, sign)
    _change(other / "config.json", trust_remote_code=True)
    _change(folder / "adapter_config.json", peft_type="LORA", base_model_name_or_path=str(other))


def _adapter_of_a_hub(folder: Path, sign: Path) -> None:
    _code(folder, sign, "evil.py")
    _change(folder / "adapter_config.json", peft_type="LORA", base_model_name_or_path="owner/evil")


KINDS: dict[str, Callable[[Path, Path], None]] = {
    "auto_map": _auto_map,
    "pickle": _pickle,
    "custom_generate": _custom_generate,
    "kernel": _kernel,
    "adapter": _adapter,
    "adapter_of_a_hub": _adapter_of_a_hub,
    "tokenizer": _tokenizer_auto_map,
}
"""What makes a folder hostile, by name: each changes a copy of a good folder, and would create the file."""


def hostile_folder(good: Path, kind: str, place: Path) -> tuple[Path, Path]:
    """A hostile copy of a folder, and the file that would say that its code ran."""
    folder, sign = place / "evil_model", place / "code-ran"
    shutil.copytree(good, folder)
    KINDS[kind](folder, sign)
    return folder, sign
