"""Asking the services that stages need, once, before any work."""

from __future__ import annotations

import logging
from collections.abc import Callable

from raylib.engine.planning import Plan
from raylib.errors import EndpointError
from raylib.stage import adapted

__all__ = ["probe"]

logger = logging.getLogger(__name__)


def probe(plan: Plan) -> None:
    """Send one small request to each service that a stage of the run asks; stages that ask the same share it.

    Args:
        plan: The run.

    Raises:
        EndpointError: A service refuses every request, or does not answer.
    """
    asked: dict[str, tuple[str, Callable[[], None]]] = {}
    for spec in plan.recipe.stages:
        for name, function in adapted(spec.make()).probes().items():
            asked.setdefault(name, (spec.name, function))
    for name, (stage, function) in asked.items():
        logger.info("stage %s: asking %s whether it answers", stage, name)
        try:
            function()
        except EndpointError as error:
            raise EndpointError(f"stage {stage!r}: {error}") from None
