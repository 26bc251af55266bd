"""What an importer returns: a recipe or configuration, and notes about what has no counterpart."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import yaml

__all__ = ["Converted"]


@dataclass
class Converted:
    """A recipe or training configuration that was made from another program's.

    Attributes:
        kind: Whether it is a `recipe` or a `training` configuration.
        data: The recipe or configuration, as YAML holds it.
        notes: Settings that were not, or not exactly, carried over.
    """

    kind: Literal["recipe", "training"]
    data: dict[str, object]
    notes: list[str] = field(default_factory=list)

    def to_yaml(self) -> str:
        """The file's text, notes first."""
        head = "".join(f"# {line}\n" for note in self.notes for line in note.splitlines())
        return head + yaml.safe_dump(self.data, sort_keys=False, allow_unicode=True, width=120)
