"""The training loop: one for all objectives, the same in one process, on several workers, and after a resume."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from raylib.errors import TrainingError
from training.config import TrainConfig
from training.data.rows import rows_of
from training.data.taught import taught_by
from training.data.tokenizer import Tokenizer, pad_id
from training.loop import phase
from training.loop.backends import build_scorer, cast_for_backend, fresh_backend, make_backend
from training.loop.checkpoints import Checkpoints
from training.loop.context import RunContext
from training.loop.folder import Result, prepare_folder
from training.loop.guards import ReadingSpeed, Watchdog
from training.loop.phase_data import describe, phase_data, phases_of, token_folders
from training.loop.reference_model import with_reference
from training.loop.reporting import Reporter
from training.loop.resume import ResumePoint, newest_checkpoint, resume
from training.loop.state import TrainState
from training.model.build import load_tokenizer
from training.model.cost import model_flops
from training.model.world import World
from training.objectives import Scorer

__all__ = ["Loop"]

logger = logging.getLogger(__name__)


@dataclass
class Loop:
    """One worker's part of a run.

    Attributes:
        config: The run.
        folder: Folder of the run.
        say: Receives lines for people, on worker 0; they are logged by default.
        report: Receives the metrics of each logged step on worker 0, for Ray's metrics.
        beat: Called on each worker after each step.
        world: This worker among the others.
    """

    config: TrainConfig
    folder: Path
    say: Callable[[str], None] = logger.info
    report: Callable[[dict[str, float]], None] | None = None
    beat: Callable[[], None] | None = None
    world: World = field(default_factory=World)
    _trained: Scorer | None = field(default=None, init=False, repr=False)

    @property
    def module(self) -> Scorer:
        """The model as `run` left it.

        Raises:
            TrainingError: before `run`.
        """
        if self._trained is None:
            raise TrainingError("the loop has not run yet, so it has no model")
        return self._trained

    def run(self) -> Result:
        """Train to the end, from the newest checkpoint if there is one.

        Returns:
            How the run ended; worker 0 also writes it to `result.json`.

        Raises:
            TrainingError: if the run cannot start or continue.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        # the watchdog starts at once, because setting up waits for other workers, too
        stacks = self.folder / f"stacks-{self.world.rank}.txt"
        with ExitStack() as opened:
            watchdog = opened.enter_context(Watchdog(self.config.hang_minutes, stacks, self.world.rank))
            context, state = self._begin(watchdog, opened)
            context, end = _train(context, state)
            context.checkpoints.finish(wait=True)
            self.world.barrier()
            self._trained = context.backend.module
            result = Result(str(self.folder), state.step, end.finished, end.metrics)
            if self.world.rank == 0:
                result.write()
            return result

    def _begin(self, watchdog: Watchdog, opened: ExitStack) -> tuple[RunContext, TrainState]:
        """Build the model and everything around it; go to where the newest checkpoint is."""
        config, world = self.config, self.world
        tokenizer = load_tokenizer(config.model)
        taught = taught_by(token_folders(config), config.model.template_options)
        if taught is not None:
            own, tokenizer.chat_template = tokenizer.chat_template, taught.template
            if own and own != taught.template and world.rank == 0:
                self.say(
                    "the saved model gets the chat template of the token folders, which is not the tokenizer's own"
                )
        if world.rank == 0:
            prepare_folder(self.folder, config, world.size)
        world.barrier()
        checkpoints = Checkpoints(self.folder / "checkpoints", world, config.keep, background=config.save_in_background)
        reporter = opened.enter_context(Reporter(self.folder, world, config, self.say, self.report))
        scorer = self._new_scorer(tokenizer)
        flops = model_flops(scorer.plain, config.data.sequence_length)
        point = newest_checkpoint(checkpoints, config, world)
        length = config.data.sequence_length
        context = RunContext(
            config=config,
            folder=self.folder,
            world=world,
            tokenizer=tokenizer,
            stops=() if taught is None else taught.stops,
            pad=pad_id(tokenizer),
            width=length if config.model.compile else 2,  # compiled layers need one shape
            flops=flops,
            backend=make_backend(config, scorer, world, universal=point is not None and point.universal),
            evaluation=rows_of([s.path for s in config.data.evaluation], length, packing=False),
            checkpoints=checkpoints,
            reporter=reporter,
            reading=ReadingSpeed(),
            watchdog=watchdog,
            say=self.say,
            beat=self.beat,
        )
        return context, _state(context, point)

    def _new_scorer(self, tokenizer: Tokenizer) -> Scorer:
        """The model, and random generators that are the same again in every run with this seed."""
        torch.manual_seed(self.config.seed)
        np.random.seed(self.config.seed)
        scorer = build_scorer(self.config, tokenizer)
        cast_for_backend(scorer, self.config)
        torch.manual_seed(self.config.seed + 1 + self.world.rank)  # dropout differs between workers, weights do not
        return scorer


def _state(context: RunContext, point: ResumePoint | None) -> TrainState:
    """How far the run has come: the state of the checkpoint, which is loaded, or the beginning."""
    return TrainState() if point is None else resume(context, point)


def _train(context: RunContext, state: TrainState) -> tuple[RunContext, phase.PhaseEnd]:
    """Train the phases that are left, and save the final models; returns the last phase's context and end."""
    config = context.config
    phases = phases_of(config)
    end = phase.PhaseEnd(True)
    for number in range(state.phase, len(phases)):
        if number > state.phase:
            state.begin_phase(number)
            if phases[number].reset:
                backend = fresh_backend(config, context.backend, context.tokenizer, context.world)
                context = replace(context, backend=backend)
                state.updates = 0
        data = phase_data(config, phases[number])
        for line in describe(data, config.batch):
            context.tell(line)
        end = phase.run(context, with_reference(context, data), state)
        if not end.finished:
            return context, end
        if config.phases:
            context.save_model(f"final-{phases[number].name}")
    context.save_model("final")
    return context, end
