"""What every part of a run uses and no part changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from training.config import TrainConfig
from training.data.rows import Rows
from training.data.tokenizer import Tokenizer
from training.loop.checkpoints import Checkpoints
from training.loop.guards import ReadingSpeed, Watchdog
from training.loop.reporting import Reporter
from training.model.backend import Backend
from training.model.export import model_writer
from training.model.saving import snapshot
from training.model.world import World

__all__ = ["RunContext"]


@dataclass(frozen=True)
class RunContext:
    """One worker's surroundings in a run. A phase with a fresh optimizer gets a context with another backend.

    Attributes:
        config: The run.
        folder: Folder of the run.
        world: This worker among the others.
        tokenizer: The tokenizer, with the chat template by which the model is taught.
        stops: Ids of the tokens that end the answers that the model is taught.
        pad: Token id that fills up rows.
        width: Smallest number of columns of a batch.
        flops: Operations per trained token.
        backend: The model that is trained, with its optimizer.
        evaluation: Rows to evaluate on.
        checkpoints: Checkpoints of the run.
        reporter: Where metrics go.
        reading: How fast workers read their rows.
        watchdog: Ends this worker if it hangs.
        say: Receives lines for people.
        beat: Called after each step.
    """

    config: TrainConfig
    folder: Path
    world: World
    tokenizer: Tokenizer
    stops: tuple[int, ...]
    pad: int
    width: int
    flops: float
    backend: Backend
    evaluation: Sequence[Rows]
    checkpoints: Checkpoints
    reporter: Reporter
    reading: ReadingSpeed
    watchdog: Watchdog
    say: Callable[[str], None]
    beat: Callable[[], None] | None = None

    def tell(self, line: str) -> None:
        """Say a line for people, once for all workers."""
        if self.world.rank == 0:
            self.say(line)

    def save_model(self, name: str) -> None:
        """Write the model as it is now to `checkpoints/NAME`, a Hugging Face folder. All workers call it."""
        weights = self.backend.weights()
        if self.world.rank == 0 and weights is not None:
            if self.checkpoints.writer.background:
                weights = snapshot(weights)
            write = model_writer(self.backend.module.model, weights, self.tokenizer, self.stops)
            self.checkpoints.save_model(name, write)
