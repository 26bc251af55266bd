"""Options of tokenising, and what a batch of records becomes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from raylib.chat import RenderOptions

__all__ = ["Collected", "Encoded", "Refused", "TokenOptions", "unread"]


@dataclass(frozen=True)
class TokenOptions:
    """How records become tokens.

    Attributes:
        kind: Kind of samples; `auto` decides by the first record.
        max_tokens: Largest length of a sample in tokens; longer ones are cut, a prompt at its start and then answers
            at their end. 0 cuts nothing.
        max_prompt: Number of tokens that the prompt of a preference keeps when the pair is too long.
        seed: Seed of the shuffle.
        render: How conversations are rendered and which of their answers are learnt.
    """

    kind: Literal["auto", "pretrain", "sft", "preference"] = "auto"
    max_tokens: int = 0
    max_prompt: int = 1024
    seed: int = 0
    render: RenderOptions = field(default_factory=RenderOptions)

    def facts(self) -> dict[str, object]:
        """The options as plain data."""
        return asdict(self)


class Refused(NamedTuple):
    """A record that is not learnt.

    Attributes:
        id: Id of the record.
        reason: Short reason, by which refusals are counted.
        detail: What is wrong.
    """

    id: str
    reason: str
    detail: str


def unread(rejects: pa.Table) -> list[Refused]:
    """Records that could not be read, each under the id that it has itself, if it has one."""
    found = []
    for row in rejects.select(["id", "meta", "reason", "detail"]).to_pylist():
        name = row["id"]
        try:
            raw = json.loads(json.loads(row["meta"] or "{}").get("raw", "{}"))
            name = str(raw.get("id") or name) if isinstance(raw, dict) else name
        except ValueError:
            pass
        found.append(Refused(name, row["reason"], row["detail"]))
    return found


@dataclass
class Encoded:
    """Samples, one after the other.

    Attributes:
        ids: All tokens, uint32.
        targets: Whether each token is a target, uint8, or None for pretraining.
        lengths: Length of each sequence, int64; a preference is three of them.
        tokens: Number of tokens by source.
        records: Number of samples by source.
        refused: Records left out.
        unlearnt: Number of turns that are not learnt, by reason.
        expanded: Number of records that became several samples.
        cut: Number of samples that were shortened.
    """

    ids: npt.NDArray[np.uint32]
    targets: npt.NDArray[np.uint8] | None
    lengths: npt.NDArray[np.int64]
    tokens: Counter[str] = field(default_factory=Counter)
    records: Counter[str] = field(default_factory=Counter)
    refused: list[Refused] = field(default_factory=list)
    unlearnt: Counter[str] = field(default_factory=Counter)
    expanded: int = 0
    cut: int = 0


@dataclass
class Collected:
    """Samples of a batch, one by one; see `Encoded`."""

    ids: list[int] = field(default_factory=list)
    targets: list[bool] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    tokens: Counter[str] = field(default_factory=Counter)
    records: Counter[str] = field(default_factory=Counter)
    refused: list[Refused] = field(default_factory=list)
    unlearnt: Counter[str] = field(default_factory=Counter)
    expanded: int = 0
    cut: int = 0

    def add(self, ids: Sequence[int], targets: Sequence[bool], source: str) -> None:
        """Append a sequence."""
        self.ids += ids
        self.targets += targets
        self.lengths.append(len(ids))
        self.tokens[source] += len(ids)

    def encoded(self) -> Encoded:
        """Everything as arrays."""
        return Encoded(
            ids=np.array(self.ids, np.uint32),
            targets=np.array(self.targets, np.uint8),
            lengths=np.array(self.lengths, np.int64),
            tokens=self.tokens,
            records=self.records,
            refused=self.refused,
            unlearnt=self.unlearnt,
            expanded=self.expanded,
            cut=self.cut,
        )
