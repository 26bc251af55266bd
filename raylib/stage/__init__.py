"""The contract between stages and the engine: protocols, outcomes, rounds and the registry."""

from raylib.errors import StageError, nearest
from raylib.stage.outcome import REJECT_COLUMNS, Outcome, keep_all, mark_rejected, split_rejected, with_columns
from raylib.stage.protocols import GlobalStage, LocalStage
from raylib.stage.registry import StageInfo, register, stage_info, stage_names
from raylib.stage.resolving import is_model_based, resolve_in_memory, rounds_of
from raylib.stage.rounds import Round, Shuffled, SketchStore, no_verdicts

__all__ = [
    "REJECT_COLUMNS",
    "GlobalStage",
    "LocalStage",
    "Outcome",
    "Round",
    "Shuffled",
    "SketchStore",
    "StageError",
    "StageInfo",
    "is_model_based",
    "keep_all",
    "mark_rejected",
    "nearest",
    "no_verdicts",
    "register",
    "resolve_in_memory",
    "rounds_of",
    "split_rejected",
    "stage_info",
    "stage_names",
    "with_columns",
]
