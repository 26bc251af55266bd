"""Metrics for the Ray dashboard and its Prometheus endpoint. Silent where there is no Ray.

`METRICS` is what there is, with its meaning; the Grafana dashboard and the alerts of `deploy/monitoring` are made of it
(`python -m raylib.cluster.monitoring`). Ray exports them with the prefix `ray_`.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["METRICS", "Metric", "StageMetrics", "TrainingMetrics", "make_metric"]


@dataclass(frozen=True)
class Metric:
    """name: without Ray's prefix. kind: counter or gauge. unit: as Grafana names it. labels: what it is told by."""

    name: str
    kind: str
    description: str
    labels: tuple[str, ...]
    unit: str = "short"


METRICS = {
    m.name: m
    for m in (
        Metric("raylib_records_in_total", "counter", "Records read from the input.", ("run",)),
        Metric("raylib_records_total", "counter", "Records by stage and outcome.", ("run", "stage", "outcome")),
        Metric("raylib_rejects_total", "counter", "Rejected records by stage and reason.", ("run", "stage", "reason")),
        Metric("raylib_stage_seconds_total", "counter", "Seconds spent in a stage.", ("run", "stage"), "s"),
        Metric("raylib_bytes_total", "counter", "Raw input bytes worked through.", ("run", "phase"), "bytes"),
        Metric("raylib_shards_total", "counter", "Shards committed or failed.", ("run", "phase", "outcome")),
        Metric("raylib_last_shard_timestamp_seconds", "gauge", "When this worker committed a shard last.", ("run",), "dateTimeAsIso"),
        Metric("raylib_storage_used_share", "gauge", "Used share of the volume of the output.", ("run",), "percentunit"),
        Metric("raylib_train_loss", "gauge", "Loss of the last logged step.", ("run",)),
        Metric("raylib_train_eval_loss", "gauge", "Loss of the last evaluation.", ("run",)),
        Metric("raylib_train_eval_perplexity", "gauge", "Perplexity of the last evaluation.", ("run",)),
        Metric("raylib_train_lr", "gauge", "Learning rate.", ("run",)),
        Metric("raylib_train_grad_norm", "gauge", "Norm of the gradients before clipping.", ("run",)),
        Metric("raylib_train_tgs", "gauge", "Tokens a second and worker.", ("run",)),
        Metric("raylib_train_tflops", "gauge", "Model TFLOPs a worker, recomputation not counted.", ("run",)),
        Metric("raylib_train_mfu", "gauge", "Share of the accelerator's dense peak.", ("run",), "percentunit"),
        Metric("raylib_train_memory_gb", "gauge", "Memory of worker 0.", ("run",), "decgbytes"),
        Metric("raylib_train_seconds_data", "gauge", "Seconds of a step that reading took.", ("run",), "s"),
        Metric("raylib_train_seconds_model", "gauge", "Seconds of a step for forward and backward passes.", ("run",), "s"),
        Metric("raylib_train_seconds_update", "gauge", "Seconds of a step for the optimizer.", ("run",), "s"),
        Metric("raylib_train_tokens", "gauge", "Tokens trained on so far.", ("run",)),
        Metric("raylib_train_heartbeat_timestamp_seconds", "gauge", "When a worker did its last step.", ("run", "rank"), "dateTimeAsIso"),
    )
}  # fmt: skip


def make_metric(name: str, labels: tuple[str, ...] = ()) -> Any:
    """A metric of Ray by its name in `METRICS`; one that is not there is a gauge with these labels."""
    from ray.util.metrics import Counter, Gauge

    known = METRICS.get(name) or Metric(name, "gauge", name, labels)
    return {"counter": Counter, "gauge": Gauge}[known.kind](known.name, known.description, known.labels)


class StageMetrics:
    """The metrics of one worker process; `record` adds what a finished task reports.

    run: name of the recipe. output: a local folder whose volume is watched; empty: none.
    """

    def __init__(self, run: str, output: str = "") -> None:
        self._run, self._output = run, output
        self._made: dict[str, Any] = {}

    def _add(self, name: str, value: float, **labels: str) -> None:
        if name not in self._made:
            self._made[name] = make_metric(name)
        metric = self._made[name]
        (metric.inc if METRICS[name].kind == "counter" else metric.set)(value, {"run": self._run, **labels})

    def record(self, entry: Mapping[str, Any], statistics: Mapping[str, Any]) -> None:
        phase = entry["phase"]
        self._add("raylib_shards_total", 1, phase=phase, outcome="committed")
        self._add("raylib_last_shard_timestamp_seconds", time.time())
        if self._output:
            usage = shutil.disk_usage(self._output)
            self._add("raylib_storage_used_share", usage.used / usage.total)
        if entry.get("bytes_in"):
            self._add("raylib_bytes_total", entry["bytes_in"], phase=phase)
        if phase == "s0" and entry.get("records_in"):
            self._add("raylib_records_in_total", entry["records_in"])
        for stage, counts in statistics.get("counts", {}).get("stages", {}).items():
            kept = counts["in"] - counts["rejected"]
            for outcome, value in (("kept", kept), ("changed", counts["changed"]), ("rejected", counts["rejected"])):
                if value:
                    self._add("raylib_records_total", value, stage=stage, outcome=outcome)
        for key, value in statistics.get("counts", {}).get("reasons", {}).items():
            stage, _, reason = key.partition("/")
            self._add("raylib_rejects_total", value, stage=stage, reason=reason)
        for stage, seconds in statistics.get("seconds", {}).items():
            if seconds > 0:
                self._add("raylib_stage_seconds_total", seconds, stage=stage)

    def failed(self, phase: str) -> None:
        self._add("raylib_shards_total", 1, phase=phase, outcome="failed")


class TrainingMetrics:
    """The metrics of one training worker."""

    def __init__(self, run: str, rank: int) -> None:
        self._run, self._rank = run, rank
        self._made: dict[str, Any] = {}

    def _set(self, name: str, value: float, **labels: str) -> None:
        if name not in self._made:
            self._made[name] = make_metric(name, ("run", *labels))
        self._made[name].set(float(value), {"run": self._run, **labels})

    def report(self, metrics: Mapping[str, float]) -> None:
        """What a step or an evaluation gave; characters that Prometheus does not take become underscores."""
        for name, value in metrics.items():
            self._set("raylib_train_" + "".join(c if c.isalnum() else "_" for c in name), value)

    def beat(self) -> None:
        """This worker did a step."""
        self._set("raylib_train_heartbeat_timestamp_seconds", time.time(), rank=str(self._rank))
