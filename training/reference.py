"""The reference of training configurations: `docs/training.md`. `python -m training.reference` rebuilds it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, get_type_hints

import pydantic

from training.config import (
    DataConfig,
    DpoConfig,
    ModelConfig,
    OptimizerConfig,
    ParallelConfig,
    PhaseConfig,
    SourceConfig,
    TrainConfig,
)

__all__ = ["json_schema", "pages", "training_markdown"]

_HEAD = """# Training

Written by `python -m training.reference`; a test checks that it is up to date.

```sh
raylib tokenize out/pretrain -o tokens/pretrain --tokenizer models/base
raylib tokenize out/sft/kept/stage1 -o tokens/stage1 --tokenizer models/base --max-tokens 2048
raylib train recipes/training/sft.yaml --set 'data.train=[{path: tokens/stage1}]' --set model.path=models/base
raylib evaluate ppl out/train/sft/checkpoints/final tokens/held_out
raylib export out/train/sft -o models/mine
raylib doctor out/
```

`--mode here` runs one worker in this process (debugging, with `parallel: {backend: plain}` without DeepSpeed), `local`
starts workers by torch.distributed.run, `ray` by Ray Train (v2) with its failure policy: a worker or node that is
lost means a restart from the newest checkpoint. From Python: `training.run(training.TrainConfig.from_file(path))`.

What a run promises:

- The loss of a step is normalised once, by the targets of the whole global batch, whatever micro-batches and workers
  they are on; with several sources each by its own targets, then weighted.
- Rows of a step depend on seed and data alone. A run that is killed and started again by the same name goes on with
  the next row, bit for bit on as many workers, to rounding on others (ZeRO 1 to 3).
- A checkpoint is written beside, completed, renamed; then old ones are removed. `best` (least evaluation loss), `final`
  and `final-PHASE` are Hugging Face folders.
- Packed samples do not see each other, and prompts are the same tokens at training and inference.

A run's folder holds `run.json` (configuration, command, revision, versions), `metrics.jsonl` (`step` counts in a phase,
`total_step` over all; a resumed run tells the steps after its checkpoint again), `checkpoints/`, `tensorboard/` where it
is installed, `result.json` once it has ended, and `stacks-N.txt` after a hang. Metrics: loss (by source), lr, grad_norm,
tokens, tgs (tokens a second and worker), tflops by 6 N_mm + 12 L H S a token (recomputation not counted), mfu
against the bf16 peak where it is known, seconds for data, model and update, memory; for preferences
rewards/chosen, rewards/rejected, rewards/margins, rewards/accuracies, logps, kl.
"""

_PARTS = (
    ("A run", TrainConfig), ("model", ModelConfig), ("data", DataConfig), ("data.train[], data.evaluation[]", SourceConfig),
    ("optimizer", OptimizerConfig), ("dpo", DpoConfig), ("parallel", ParallelConfig), ("phases[]", PhaseConfig),
)  # fmt: skip


def _default(field: Any) -> Any:
    import pydantic.fields

    value = field.default
    if isinstance(value, pydantic.fields.FieldInfo):
        value = value.default
    if value is MISSING:
        return "(required)" if field.default_factory is MISSING else "its own" if "Config" in str(field.default_factory) else "{}"  # fmt: skip
    return f"`{str(value).lower()}`" if isinstance(value, bool) else f"`{value!r}`"


def _type(hint: Any) -> str:
    name = hint.__name__ if isinstance(hint, type) and not hasattr(hint, "__args__") else str(hint)
    return name.replace("typing.", "").replace("training.config.", "").replace("|", "\\|")


def _field_notes(kind: type, names: Collection[str]) -> dict[str, str]:
    """What the docstring of an options class says of each field: its sentences read `name: what it is.`"""
    text = " ".join((inspect.getdoc(kind) or "").split())
    one = "|".join(sorted(map(re.escape, names), key=len, reverse=True))
    heads = list(re.finditer(rf"(?<![\w.`])((?:{one})(?:(?:, or |, | and )(?:{one}))*): ", text))
    notes: dict[str, str] = {}
    for head, following in zip(heads, [*heads[1:], None], strict=True):
        note = text[head.end() : following.start() if following else len(text)].strip().removesuffix(".")
        for name in re.split(r", or |, | and ", head.group(1)):
            notes.setdefault(name, note.replace("|", "\\|"))
    return notes


def pages() -> dict[str, str]:
    """Texts of the generated pages, by path in the checkout."""
    return {"docs/training.md": training_markdown()}


def json_schema() -> dict[str, Any]:
    """The JSON schema of a training configuration."""
    return pydantic.TypeAdapter(TrainConfig).json_schema()


def training_markdown() -> str:
    """The whole document."""
    lines = [_HEAD]
    for title, kind in _PARTS:
        text = (inspect.getdoc(kind) or "").split("\n\n")[0]
        hints = get_type_hints(kind)
        notes = _field_notes(kind, hints)
        lines += [f"## {title}", "", text, "", "| field | type | default | |", "|---|---|---|---|"]
        lines += [
            f"| {f.name} | {_type(hints[f.name])} | {_default(f)} | {notes.get(f.name, '')} |" for f in fields(kind)
        ]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    target = Path(__file__).resolve().parent.parent / "docs" / "training.md"
    target.write_text(training_markdown(), "utf-8")


if __name__ == "__main__":
    main()
