"""Metrics for the Ray dashboard and its Prometheus endpoint. Silent where there is no Ray.

`METRICS` describes each of them; the Grafana dashboard and the alerts of `deploy/monitoring` are made from it
(`python -m raylib.cluster.monitoring`). Ray exports them with the prefix `ray_`.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict
from urllib.parse import quote

from raylib.cluster.connection import is_connected
from raylib.errors import QuarantineError
from raylib.storage.entry import ShardEntry
from raylib.storage.names import Phase

if TYPE_CHECKING:
    from ray.util.metrics import Counter, Gauge

__all__ = ["METRICS", "Metric", "RunMetrics", "StageMetrics", "TrainingMetrics", "label_value", "make_metric"]

Outcome = Literal["complete", "incomplete", "nothing_kept", "failed", "stopped"]  # how a run ended
_OF_EVERY_METRIC = ("run", "output")  # two runs of one name have different folders


@dataclass(frozen=True)
class Metric:
    """A metric that raylib exports.

    Attributes:
        name: Name without Ray's prefix.
        kind: `counter` or `gauge`.
        description: What it counts or shows.
        labels: Names of its labels.
        unit: Unit as Grafana names it.
    """

    name: str
    kind: str
    description: str
    labels: tuple[str, ...]
    unit: str = "short"


def _counter(name: str, description: str, *labels: str, unit: str = "short") -> Metric:
    return Metric(f"raylib_{name}", "counter", description, (*_OF_EVERY_METRIC, *labels), unit)


def _gauge(name: str, description: str, *labels: str, unit: str = "short") -> Metric:
    return Metric(f"raylib_{name}", "gauge", description, (*_OF_EVERY_METRIC, *labels), unit)


_OF_DATA = (
    _counter("records_in_total", "Records read from the input."),
    _counter("records_total", "Records by stage and outcome.", "stage", "outcome"),
    _counter("rejects_total", "Rejected records by stage and reason.", "stage", "reason"),
    _counter("stage_seconds_total", "Seconds spent in a stage.", "stage", unit="s"),
    _counter("bytes_total", "Raw input bytes worked through.", "phase", unit="bytes"),
    _counter("shards_total", "Shards committed, failed attempts, and shards quarantined.", "phase", "outcome"),
    _counter("runs_total", "Runs and trainings that ended; with the kind of error if one failed.", "outcome", "cause"),
    _gauge("last_shard_timestamp_seconds", "When this worker committed a shard last.", unit="dateTimeAsIso"),
    _gauge("storage_used_share", "Used share of the volume of the output.", unit="percentunit"),
)
_OF_TRAINING = (
    _gauge("train_loss", "Loss of the last logged step."),
    _gauge("train_eval_loss", "Loss of the last evaluation."),
    _gauge("train_eval_perplexity", "Perplexity of the last evaluation."),
    _gauge("train_lr", "Learning rate."),
    _gauge("train_grad_norm", "Norm of the gradients before clipping."),
    _gauge("train_tgs", "Tokens a second and worker."),
    _gauge("train_tflops", "Model TFLOPs a worker, recomputation not counted."),
    _gauge("train_mfu", "Share of the accelerator's dense peak.", unit="percentunit"),
    _gauge("train_memory_gb", "Memory of worker 0.", unit="decgbytes"),
    _gauge("train_seconds_data", "Seconds of a step that reading took.", unit="s"),
    _gauge("train_seconds_model", "Seconds of a step for forward and backward passes.", unit="s"),
    _gauge("train_seconds_update", "Seconds of a step for the optimizer.", unit="s"),
    _gauge("train_tokens", "Tokens trained on so far."),
    _gauge("train_heartbeat_timestamp_seconds", "When a worker did its last step.", "rank", unit="dateTimeAsIso"),
)
METRICS = {metric.name: metric for metric in (*_OF_DATA, *_OF_TRAINING)}


_LONGEST_LABEL = 200
_AS_IT_IS = " !#$()*+,-./:;=?@[]^_{|}~"  # no quotes, no signs of markup


def make_metric(name: str, labels: tuple[str, ...] = ()) -> Counter | Gauge:
    """Make a metric of Ray.

    Args:
        name: Its name in `METRICS`, or another one, which becomes a gauge.
        labels: Names of the labels of such a gauge.
    """
    from ray.util.metrics import Counter, Gauge  # noqa: PLC0415 - loads in seconds

    known = METRICS.get(name) or Metric(name, "gauge", name, labels)
    return {"counter": Counter, "gauge": Gauge}[known.kind](known.name, known.description, known.labels)


class _Counts(TypedDict, total=False):
    stages: Mapping[str, Mapping[str, int]]
    reasons: Mapping[str, int]


class ShardCounts(TypedDict):
    """What a shard counted, as its statistics are stored."""

    counts: _Counts
    seconds: Mapping[str, float]


class _Recorder:
    """Metrics of a run in this process, made when they are first needed.

    Args:
        run: Name of the run.
        output: Its folder, absolute, or a URI.
    """

    def __init__(self, run: str, output: str) -> None:
        self._of_all = {"run": run, "output": _without_secrets(output)}
        self._made: dict[str, Counter | Gauge] = {}

    def _add(self, name: str, value: float, **labels: str) -> None:
        if name not in self._made:
            self._made[name] = make_metric(name, (*_OF_EVERY_METRIC, *labels))
        metric = self._made[name]
        kind = METRICS[name].kind if name in METRICS else "gauge"
        shown = {label: label_value(text) for label, text in {**self._of_all, **labels}.items()}
        (metric.inc if kind == "counter" else metric.set)(value, shown)


def label_value(text: str) -> str:
    """A text as the value of a label.

    Args:
        text: A name or a path.

    Returns:
        The text, in which everything that Ray cannot send (it takes ASCII only) and what could be markup in a dashboard
        is written as in a URL: `%E7%BD%91%E9%A1%B5`.
    """
    return quote(text[:_LONGEST_LABEL], safe=_AS_IT_IS, errors="replace")


def _without_secrets(output: str) -> str:
    """The folder without what a URI may hold besides a place: a user with a password, and parameters."""
    scheme, separator, rest = output.partition("://")
    if not separator:
        return output
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path.partition('?')[0]}"


class RunMetrics(_Recorder):
    """The metrics of the process that drives a run or a training; silent while it has not joined a cluster."""

    def quarantined(self, phase: Phase) -> None:
        """Count a shard that is given up."""
        if is_connected():
            self._add("raylib_shards_total", 1, phase=str(phase), outcome="quarantined")

    def ended(self, outcome: Outcome, cause: str = "") -> None:
        """Count the end of the run. Ray sends it to its agent before the process ends, unless that is killed."""
        if is_connected():
            self._add("raylib_runs_total", 1, outcome=outcome, cause=cause)

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Count the end of the run if an error ends it."""
        try:
            yield
        except QuarantineError as error:
            self.ended("incomplete" if error.records_kept else "failed", type(error).__name__)
            raise
        except Exception as error:
            self.ended("failed", type(error).__name__)
            raise
        except BaseException:  # Ctrl-C, or a signal
            self.ended("stopped")
            raise


class StageMetrics(_Recorder):
    """The metrics of one worker process."""

    def record(self, entry: ShardEntry, statistics: ShardCounts) -> None:
        """Add a finished shard.

        Args:
            entry: Its line of the manifest.
            statistics: What it counted, by stage and by reason, and seconds by stage.
        """
        phase = str(entry.phase)
        self._add("raylib_shards_total", 1, phase=phase, outcome="committed")
        self._add("raylib_last_shard_timestamp_seconds", time.time())
        output = self._of_all["output"]
        if "://" not in output:
            usage = shutil.disk_usage(output)
            self._add("raylib_storage_used_share", usage.used / usage.total)
        if entry.bytes_in:
            self._add("raylib_bytes_total", entry.bytes_in, phase=phase)
        if entry.phase.is_first and entry.records_in:
            self._add("raylib_records_in_total", entry.records_in)
        self._record_stages(statistics["counts"])
        for stage, seconds in statistics["seconds"].items():
            if seconds > 0:
                self._add("raylib_stage_seconds_total", seconds, stage=stage)

    def _record_stages(self, shard: _Counts) -> None:
        for stage, counts in shard.get("stages", {}).items():
            kept = counts["in"] - counts["rejected"]
            for outcome, value in (("kept", kept), ("changed", counts["changed"]), ("rejected", counts["rejected"])):
                if value:
                    self._add("raylib_records_total", value, stage=stage, outcome=outcome)
        for key, value in shard.get("reasons", {}).items():
            stage, _, reason = key.partition("/")
            self._add("raylib_rejects_total", value, stage=stage, reason=reason)

    def failed(self, phase: Phase) -> None:
        """Count a failed attempt."""
        self._add("raylib_shards_total", 1, phase=str(phase), outcome="failed")


class TrainingMetrics(_Recorder):
    """The metrics of one training worker.

    Args:
        folder: Folder of the run; its name is that of the run.
        rank: Number of the worker.
    """

    def __init__(self, folder: Path, rank: int) -> None:
        super().__init__(folder.name, str(folder))
        self._rank = rank

    def report(self, metrics: Mapping[str, float]) -> None:
        """What a step or an evaluation gave; characters that Prometheus does not take become underscores."""
        for name, value in metrics.items():
            self._add("raylib_train_" + "".join(c if c.isascii() and c.isalnum() else "_" for c in name), float(value))

    def beat(self) -> None:
        """This worker did a step."""
        self._add("raylib_train_heartbeat_timestamp_seconds", time.time(), rank=str(self._rank))
