"""The plan of a run: files, units, segments and fingerprints, checked before any work."""

from __future__ import annotations

from raylib.errors import RecipeError
from raylib.recipe import StageSpec
from raylib.stage import adapted

__all__ = ["check_stages", "default_batch_mb"]


def check_stages(specs: tuple[StageSpec, ...]) -> None:
    """What stages can tell to be wrong before any work. Raises RecipeError."""
    for spec in specs:
        try:
            adapted(spec.make()).check()
        except ValueError as error:
            raise RecipeError(f"stage {spec.name!r}: {error}") from None


def default_batch_mb(input_bytes: int) -> float:
    """4 or 8: small inputs in small pieces that spread evenly, large ones in fewer files.

    Steps rather than a smooth curve, so that a file more does not change how the others are cut.
    """
    return 4.0 if input_bytes < 256 << 20 else 8.0
