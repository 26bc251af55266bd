"""The contract between stages and the engine: protocols, outcomes, rounds and the registry."""

from raylib.errors import StageError, nearest
from raylib.stage.outcome import REJECT_COLUMNS, Outcome, keep_all, mark_rejected, split_rejected, with_columns
from raylib.stage.per_source import PerSource
from raylib.stage.protocols import Applier, GlobalStage, LocalStage, Notes, StageHooks
from raylib.stage.registry import StageInfo, StageKind, register, stage, stage_info, stage_names
from raylib.stage.resolving import adapted, is_model_based, resolve_in_memory, rounds_of
from raylib.stage.rounds import Round, Shuffled, SketchStore, no_verdicts, single_round
from raylib.stage.section import Section
from raylib.stage.threshold import Threshold

__all__ = [
    "REJECT_COLUMNS",
    "Applier",
    "GlobalStage",
    "LocalStage",
    "Notes",
    "Outcome",
    "PerSource",
    "Round",
    "Section",
    "Shuffled",
    "SketchStore",
    "StageError",
    "StageHooks",
    "StageInfo",
    "StageKind",
    "Threshold",
    "adapted",
    "is_model_based",
    "keep_all",
    "mark_rejected",
    "nearest",
    "no_verdicts",
    "register",
    "resolve_in_memory",
    "rounds_of",
    "single_round",
    "split_rejected",
    "stage",
    "stage_info",
    "stage_names",
    "with_columns",
]
