"""The training loop: one for all objectives, the same in one process, on several workers, and after a resume."""

from __future__ import annotations

import math
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from raylib.errors import TrainingError
from training.config import PhaseConfig, TrainConfig
from training.data.batches import Batch, micro_batches, to_device
from training.data.order import RowStream
from training.data.rows import rows_of
from training.loop.backends import make_backend
from training.loop.checkpoints import Checkpoints, random_state, restore_random_state
from training.loop.folder import Result, prepare_folder
from training.loop.guards import Reading, Watchdog, check_storage
from training.loop.phase_data import PhaseData, source_names
from training.loop.reporting import Reporter
from training.model.build import build_model, load_tokenizer
from training.model.cost import model_flops
from training.model.deepspeed import DeepSpeedBackend, to_universal
from training.model.saving import snapshot
from training.model.schedule import learning_rate
from training.model.world import World
from training.objectives import Causal, Dpo, Scorer

__all__ = ["Loop"]


@dataclass
class Loop:
    """One worker's part of a run.

    say: where lines for people go; `print` by default, on worker 0. report: told the metrics of each logged step on
    worker 0, for Ray's metrics. beat: called on each worker after each step.
    """

    config: TrainConfig
    folder: Path
    say: Callable[[str], None] = print
    report: Callable[[dict[str, float]], None] | None = None
    beat: Callable[[], None] | None = None
    world: World = field(default_factory=World)

    def run(self) -> Result:
        """Train to the end, from the newest checkpoint if there is one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        # from the very beginning: setting up waits for other workers too
        with Watchdog(self.config.hang_minutes, self.folder / f"stacks-{self.world.rank}.txt") as self.watchdog:
            return self._run()

    def _run(self) -> Result:
        config, world = self.config, self.world
        self.tokenizer = load_tokenizer(config.model)
        self.pad = int(self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else self.tokenizer.eos_token_id or 0)  # fmt: skip
        if world.rank == 0:
            prepare_folder(self.folder, config, world.size)
        world.barrier()
        self.checkpoints = Checkpoints(
            self.folder / "checkpoints", world, config.keep, background=config.save_in_background
        )
        self.reading = Reading()
        self.reporter = Reporter(self.folder, world, config, self.say, self.report)
        torch.manual_seed(config.seed)
        np.random.seed(config.seed)
        self.scorer = Scorer(build_model(config.model, self.tokenizer, config.seed), compiled=config.model.compile)
        self.width = config.data.sequence_length if config.model.compile else 2  # compiled layers want one shape
        if config.parallel.backend == "deepspeed" and config.model.dtype != "fp32":
            self.scorer.to(torch.bfloat16 if config.model.dtype == "bf16" else torch.float16)
        torch.manual_seed(config.seed + 1 + world.rank)  # dropout differs between workers, weights do not
        self.flops = model_flops(self.scorer.plain, config.data.sequence_length)
        found = self.checkpoints.latest()
        other = found is not None and found[1]["workers"] != world.size and config.parallel.backend == "deepspeed"
        self.backend = make_backend(config, self.scorer, world, universal=other)
        self.module = self.backend.module
        self.evaluation = rows_of([s.path for s in config.data.evaluation], config.data.sequence_length, packing=False)
        state: dict[str, Any] = {"phase": 0, "step": 0, "total": 0, "best": math.inf, "tokens": 0, "updates": 0}
        if found is not None:
            state = self._resume(*found, universal=other)
        phases = config.phases or (PhaseConfig("", config.data.train, config.epochs, config.steps),)
        metrics: dict[str, float] = {}
        finished = True
        for number in range(state["phase"], len(phases)):
            if number > state["phase"]:
                state |= {"phase": number, "step": 0}
                if phases[number].reset:
                    self._fresh_optimizer()
                    state["updates"] = 0
            finished, metrics = self._phase(phases[number], state)
            if not finished:
                break
            if config.phases:
                self._save_model(f"final-{phases[number].name}")
        if finished:
            self._save_model("final")
        self.checkpoints.finish(wait=True)
        world.barrier()
        self.reporter.close()
        result = Result(str(self.folder), state["step"], finished, metrics)
        if world.rank == 0:
            result.write()
        return result

    # ---- beginnings ---------------------------------------------------------------------------

    def _resume(self, path: Path, facts: dict[str, Any], *, universal: bool) -> dict[str, Any]:
        if universal:
            made = self.folder / "universal"
            if self.world.rank == 0:
                to_universal(path, made)
            self.world.barrier()
            self.backend.load(made)
            if isinstance(self.backend, DeepSpeedBackend):
                self.backend.set_updates(facts["updates"])
            self.world.barrier()
            if self.world.rank == 0:
                shutil.rmtree(made)
        else:
            self.backend.load(path)
        self.checkpoints.load_random_state(path)
        words = f", saved by {facts['workers']} workers" if universal else ""
        self._tell(f"resumed from {path.name}: step {facts['step']}{words}")
        return {k: facts[k] for k in ("phase", "step", "total", "best", "tokens", "updates")}

    def _fresh_optimizer(self) -> None:
        """A new backend over the same weights: fresh moments, as if the run began here."""
        weights = self.backend.weights()
        shared: list[Any] = [weights]
        if self.world.size > 1:
            torch.distributed.broadcast_object_list(shared, src=0)
        fresh = Scorer(build_model(self.config.model, self.tokenizer, self.config.seed), compiled=self.config.model.compile)  # fmt: skip
        fresh.model.load_state_dict(shared[0], strict=False)
        if self.config.parallel.backend == "deepspeed" and self.config.model.dtype != "fp32":
            fresh.to(torch.bfloat16 if self.config.model.dtype == "bf16" else torch.float16)
        self.backend = make_backend(self.config, fresh, self.world)
        self.module = self.backend.module

    def _data(self, phase: PhaseConfig) -> PhaseData:
        config = self.config
        sources = rows_of([s.path for s in phase.train], config.data.sequence_length, packing=config.data.packing)
        pairs = bool(sources) and sources[0].kind == "preference"
        if pairs != (config.objective == "dpo"):
            raise TrainingError(f"objective {config.objective} cannot learn from {'preferences' if pairs else 'these tokens'}")  # fmt: skip
        packed = config.data.packing and not pairs
        stream = RowStream(sources, shares=[s.share for s in phase.train], seed=config.seed, group=0 if packed else config.batch)  # fmt: skip
        epochs = phase.epochs or config.epochs
        steps = phase.steps or (0 if phase.epochs else config.steps) or math.ceil(epochs * stream.epoch_rows / config.batch)  # fmt: skip
        names = source_names(phase.train)
        weights = tuple(s.weight for s in phase.train)
        objective: Any = Causal(weights)
        if pairs:
            objective = Dpo(config.dpo, weights)
        for name, rows in zip(names, sources, strict=True):
            self._tell(f"{phase.name + ': ' if phase.name else ''}{name}: {rows.tokens.info['tokens']:,} tokens in {rows.tokens.info['samples']:,} samples, {rows.count:,} rows")  # fmt: skip
        self._tell(f"{stream.epoch_rows:,} rows an epoch, {config.batch} a step, {steps:,} steps")
        return PhaseData(
            names, sources, stream, objective, steps, phase.learning_rate or config.optimizer.learning_rate
        )

    # ---- steps --------------------------------------------------------------------------------

    def _phase(self, phase: PhaseConfig, state: dict[str, Any]) -> tuple[bool, dict[str, float]]:
        config, world = self.config, self.world
        data = self._data(phase)
        if isinstance(data.objective, Dpo):
            data.objective.reference = self._reference(data, phase)
        rates = replace(config.optimizer, learning_rate=data.rate)
        last_rows = data.steps * config.batch
        if not config.steps and not phase.steps:  # a whole number of epochs ends in the middle of a step
            last_rows = min(last_rows, math.ceil((phase.epochs or config.epochs) * data.stream.epoch_rows))
        metrics: dict[str, float] = {}
        self.module.train()
        while state["step"] < data.steps:
            step = state["step"]
            begun = time.perf_counter()
            first = step * config.batch
            count = min(config.batch, last_rows - first)
            keys = data.stream.rows(first, count)
            mine = keys[world.rank :: world.size]
            rows = [data.sources[s].row(r) for s, r in mine]
            read = time.perf_counter()
            batches = list(micro_batches(rows, mine, rank=0, world=1, micro=config.micro_batch, accumulation=config.accumulation, pad=self.pad, pairs=data.objective.pairs, width=self.width))  # fmt: skip
            self.reading.add(sum(r.length for r in rows), read - begun)
            ready = time.perf_counter()
            counts = world.total(data.objective.counts(rows))
            sums, finite = self._micro_steps(data.objective, batches, counts)
            rate = learning_rate(rates, step, data.steps)
            passed = time.perf_counter()
            norm = self._update(finite, rate)
            state["step"] = step + 1
            state["total"] += 1
            state["updates"] += int(math.isfinite(norm))
            tokens = int(world.total(torch.tensor(float(sum(b.tokens for b in batches)))))
            state["tokens"] += tokens
            names = [f"{phase.name}/{n}" if phase.name else n for n in data.names]
            metrics = {
                **data.objective.metrics({k: world.total(v) for k, v in sums.items()}, names),
                "lr": rate, "grad_norm": norm, "tokens": state["tokens"], "step_tokens": tokens,
                "seconds": time.perf_counter() - begun, "seconds_data": ready - begun, "seconds_model": passed - ready,
                "seconds_update": time.perf_counter() - passed,
            }  # fmt: skip
            metrics |= self.reading.compare(world, step + 1, self._tell)
            self.reporter.step(step + 1, data.steps, phase.name, metrics, total=state["total"], flops=self.flops, epoch=(step + 1) * config.batch / data.stream.epoch_rows)  # fmt: skip
            self.watchdog.alive()
            if self.beat is not None:
                self.beat()
            done = state["step"] == data.steps
            if self.evaluation and (state["step"] % config.evaluate_every == 0 or done):
                self._evaluate(state, phase)
            full = check_storage(self.folder, config, self._tell)
            full = bool(world.total(torch.tensor(float(full))))
            self.checkpoints.finish(wait=False)
            if state["step"] % config.save_every == 0 or done or full:
                self._save(state)
            if full:
                self._tell(f"the volume of {self.folder} is {config.storage_stop:.0%} full: saved and stopped")
                return False, metrics
        return True, metrics

    def _micro_steps(self, objective: Any, batches: list[Batch], counts: Tensor) -> tuple[dict[str, Tensor], bool]:
        """Gradients of all micro batches; the sums to log, and whether every loss was a finite number.

        Nothing is fetched from the device before the last one is queued: it would wait for each.
        """
        sums: dict[str, Tensor] = {}
        finite: list[Tensor] = []
        for batch in batches:
            loss, logged = objective.loss(self.backend.scorer, to_device(batch, self.world.device), counts)
            finite.append(torch.isfinite(loss.detach()))
            self.backend.backward(loss)
            for name, value in logged.items():
                sums[name] = sums[name] + value if name in sums else value
        return {name: value.cpu() for name, value in sums.items()}, bool(torch.stack(finite).all())

    def _update(self, finite: bool, rate: float) -> float:
        """Step, unless some worker's loss is no number: then all of them skip it, or the run stops."""
        bad = int(self.world.total(torch.tensor(0.0 if finite else 1.0)))
        if not bad:
            norm = self.backend.step(rate)
            if math.isfinite(norm):
                return norm
            self._tell(
                f"gradient norm {norm}: the step was skipped; a lower learning rate or a longer warm-up may help"
            )
            return norm
        if self.config.non_finite == "stop":
            raise TrainingError("the loss is no finite number; lower optimizer.learning_rate or lengthen its warm-up, or look at the data of this step")  # fmt: skip
        self._tell("the loss is no finite number: the step was skipped")
        self.backend.discard()
        return math.nan

    # ---- reference, evaluation, saving ----------------------------------------------------------

    def _reference(self, data: PhaseData, phase: PhaseConfig) -> Callable[[Batch], Tensor]:
        """Log-probabilities of the weights that the phase began with."""
        if self.config.dpo.reference == "online":
            frozen = (
                Scorer(build_model(self.config.model, self.tokenizer, self.config.seed)).to(self.world.device).eval()
            )
            if self.config.model.dtype == "bf16":
                frozen.to(torch.bfloat16)
            for parameter in frozen.parameters():
                parameter.requires_grad_(False)
            return lambda batch: Dpo.log_probabilities(frozen, batch)[0]
        place = self.folder / f"reference{'-' + phase.name if phase.name else ''}.npz"
        if not place.is_file():
            self._precompute(data, place)
        held = np.load(place)
        tables = [held[str(i)] for i in range(len(data.sources))]

        def look_up(batch: Batch) -> Tensor:
            found = np.stack([tables[s][r] for s, r in batch.indices])  # (pairs, 2)
            return torch.from_numpy(found.T.reshape(-1).copy())

        return look_up

    @torch.no_grad()
    def _precompute(self, data: PhaseData, place: Path) -> None:
        """All pairs once through the untouched weights, without dropout and without a draw from any generator."""
        self._tell("computing reference log-probabilities")
        kept, was_training = random_state(), self.module.training
        self.module.eval()
        world, micro = self.world, self.config.micro_batch
        tables = []
        for number, rows in enumerate(data.sources):
            table = torch.zeros(rows.count, 2, dtype=torch.float64)
            chunk = micro * world.size
            for begin in range(0, rows.count, chunk):
                keys = [(number, i) for i in range(begin, min(begin + chunk, rows.count))]
                (batch,) = micro_batches([rows.row(r) for _, r in keys], keys, rank=world.rank, world=world.size, micro=micro, accumulation=1, pad=self.pad, pairs=True)  # fmt: skip
                found, _ = Dpo.log_probabilities(self.backend.scorer, to_device(batch, world.device))
                for k, (_, row) in enumerate(batch.indices):
                    table[row] = torch.stack([found[k], found[len(batch.indices) + k]]).double().cpu()
            tables.append(world.total(table).float().numpy())
            self.watchdog.alive()
        if world.rank == 0:
            temporary = place.with_suffix(".tmp.npz")
            np.savez(temporary, **{str(i): t for i, t in enumerate(tables)})  # type: ignore[arg-type]
            os.replace(temporary, place)
        world.barrier()
        restore_random_state(kept)
        self.module.train(was_training)

    def _evaluate(self, state: dict[str, Any], phase: PhaseConfig) -> None:
        from training.loop.evaluation import evaluate_rows

        began, kept = time.perf_counter(), random_state()
        found = evaluate_rows(self.backend.scorer, self.module, self.evaluation, world=self.world, micro=self.config.micro_batch, pad=self.pad, dpo=self.config.dpo if self.config.objective == "dpo" else None, alive=self.watchdog.alive)  # fmt: skip
        restore_random_state(kept)
        value = found["loss"]
        self.reporter.evaluation(state["step"], phase.name, found, time.perf_counter() - began, total=state["total"])  # fmt: skip
        if value < state["best"]:
            state["best"] = value
            self._save_model("best")

    def _save(self, state: dict[str, Any]) -> None:
        self.checkpoints.save(f"step-{state['total']}", self.backend, state)

    def _save_model(self, name: str) -> None:
        from training.model.export import model_writer

        weights = self.backend.weights()
        if self.world.rank == 0 and weights is not None:
            if self.checkpoints.writer.background:
                weights = snapshot(weights)
            self.checkpoints.save_model(name, model_writer(self.module.model, weights, self.tokenizer))

    def _tell(self, text: str) -> None:
        if self.world.rank == 0:
            self.say(text)
