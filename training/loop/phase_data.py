"""What one phase trains on: rows of its sources in their proportions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.config import SourceConfig
from training.data.order import RowStream
from training.data.rows import Rows

__all__ = ["PhaseData", "source_names"]


@dataclass
class PhaseData:
    """What a phase trains on and how far it goes."""

    names: list[str]
    sources: list[Rows]
    stream: RowStream
    objective: Any
    steps: int
    rate: float


def source_names(sources: tuple[SourceConfig, ...]) -> list[str]:
    names: list[str] = []
    for source in sources:
        name = Path(source.path).name or source.path
        names.append(name if name not in names else f"{name}#{names.count(name) + 1}")
    return names
