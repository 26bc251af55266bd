"""Thresholds of rejecting stages: which parameter it is, on which side of it a text is rejected, and a text's value.

The value of a text is the threshold at which the stage changes its mind about it. So any rejecting stage with a number
among its parameters has values, whatever it computes; it need not tell how.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Threshold"]


@dataclass(frozen=True)
class Threshold:
    """A parameter by which a stage rejects texts.

    Attributes:
        parameter: Name of the parameter.
        rejects: Which texts are rejected: those with a value `below` the threshold, or `above` it.
        low: Least threshold that makes sense.
        high: Largest threshold that makes sense.
        whole: Whether it is a whole number.
        column: Column of the value, if the stage adds one; empty to look for the value by trying thresholds.
    """

    parameter: str
    rejects: Literal["below", "above"]
    low: float = 0.0
    high: float = 1.0
    whole: bool = False
    column: str = ""

    @property
    def strictest(self) -> float:
        """The threshold that rejects most."""
        return self.high if self.rejects == "below" else self.low

    @property
    def loosest(self) -> float:
        """The threshold that rejects least."""
        return self.low if self.rejects == "below" else self.high
