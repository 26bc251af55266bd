"""What an importer returns: a recipe or configuration, and notes about what has no counterpart."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

__all__ = ["Converted"]


@dataclass
class Converted:
    """kind: recipe or training. data: as YAML holds it. notes: what was not, or not exactly, carried over."""

    kind: str
    data: dict[str, Any]
    notes: list[str] = field(default_factory=list)

    def to_yaml(self) -> str:
        """The file, notes first."""
        head = "".join(f"# {line}\n" for note in self.notes for line in note.splitlines())
        return head + yaml.safe_dump(self.data, sort_keys=False, allow_unicode=True, width=120)
