"""Types of parameters with bounds, which are checked when a recipe is loaded."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

__all__ = ["Share"]

Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
"""A share of something, 0 to 1."""
