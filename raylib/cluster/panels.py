"""What the Grafana dashboard shows: its panels and what each of them asks Prometheus."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PANELS", "Panel", "Query", "rejected_share"]


@dataclass(frozen=True)
class Query:
    """A line, or a group of lines, of a panel.

    Attributes:
        expression: What Prometheus evaluates.
        legend: Name of a line, with labels in double braces.
    """

    expression: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """A graph of the dashboard.

    Attributes:
        row: Row of the dashboard that it belongs to.
        title: What it shows.
        queries: Its lines.
        unit: Unit of the values, as Grafana names it.
    """

    row: str
    title: str
    queries: tuple[Query, ...]
    unit: str = "short"


def _data(title: str, expression: str, legend: str, unit: str = "short") -> Panel:
    return Panel("Data", title, (Query(expression, legend),), unit)


def _training(title: str, name: str, unit: str = "short") -> Panel:
    return Panel("Training", title, (Query(f"ray_raylib_train_{name}", "{{run}} {{output}}"),), unit)


def _machines(title: str, expression: str, legend: str, unit: str = "percentunit") -> Panel:
    return Panel("Machines", title, (Query(expression, legend),), unit)


def rejected_share(window: str) -> str:
    """Share of the records read that were rejected in a window of time, by run.

    Args:
        window: The window, such as `5m`.
    """
    rates = (f"sum by (run, output) (rate(ray_raylib_{n}[{window}]))" for n in ("rejects_total", "records_in_total"))
    return " / ".join(rates)


PANELS: tuple[Panel, ...] = (
    _data(
        "Records read per second", "sum by (run, output) (rate(ray_raylib_records_in_total[1m]))", "{{run}} {{output}}"
    ),
    _data(
        "Input bytes per second", "sum by (run, output) (rate(ray_raylib_bytes_total[1m]))", "{{run}} {{output}}", "Bps"
    ),
    _data(
        "Shards committed and failed",
        "sum by (run, output, phase, outcome) (ray_raylib_shards_total)",
        "{{run}} {{output}} {{phase}} {{outcome}}",
    ),
    _data("Share of records rejected", rejected_share("5m"), "{{run}} {{output}}", "percentunit"),
    _data(
        "Records rejected per second, by reason",
        "topk(12, sum by (run, output, stage, reason) (rate(ray_raylib_rejects_total[5m])))",
        "{{run}} {{output}} {{stage}}/{{reason}}",
    ),
    _data(
        "Where the time goes",
        "topk(12, sum by (run, output, stage) (rate(ray_raylib_stage_seconds_total[5m])))",
        "{{run}} {{output}} {{stage}}",
    ),
    _data(
        "Time since the last committed shard",
        "time() - max by (run, output) (ray_raylib_last_shard_timestamp_seconds)",
        "{{run}} {{output}}",
        "s",
    ),
    _data(
        "Runs that ended, by outcome",
        "sum by (run, output, outcome, cause) (ray_raylib_runs_total)",
        "{{run}} {{output}} {{outcome}} {{cause}}",
    ),
    _data(
        "Records by stage and outcome",
        "sum by (run, output, stage, outcome) (ray_raylib_records_total)",
        "{{run}} {{output}} {{stage}} {{outcome}}",
    ),
    Panel(
        "Training",
        "Loss",
        (
            Query("ray_raylib_train_loss", "{{run}} {{output}}"),
            Query("ray_raylib_train_eval_loss", "{{run}} {{output}} evaluation"),
        ),
    ),
    _training("Evaluation perplexity", "eval_perplexity"),
    _training("Gradient norm", "grad_norm"),
    _training("Learning rate", "lr", "sci"),
    _training("Tokens per second and worker", "tgs"),
    _training("TFLOPS per worker", "tflops"),
    _training("Model FLOPs utilisation (MFU)", "mfu", "percentunit"),
    Panel(
        "Training",
        "Time per step",
        (
            Query("ray_raylib_train_seconds_data", "{{run}} {{output}} data"),
            Query("ray_raylib_train_seconds_model", "{{run}} {{output}} forward and backward"),
            Query("ray_raylib_train_seconds_update", "{{run}} {{output}} optimizer"),
        ),
        "s",
    ),
    _training("Tokens trained on", "tokens"),
    Panel(
        "Training",
        "Time since each worker's last step",
        (
            Query(
                "time() - max by (run, output, rank) (ray_raylib_train_heartbeat_timestamp_seconds)",
                "{{run}} {{output}} worker {{rank}}",
            ),
        ),
        "s",
    ),
    _machines("Output volume used", "max by (run, output) (ray_raylib_storage_used_share)", "{{run}} {{output}}"),
    _machines("Node disk used", "ray_node_disk_utilization_percentage / 100", "{{instance}}"),
    _machines("Memory of worker 0", "ray_raylib_train_memory_gb", "{{run}} {{output}}", "decgbytes"),
    _machines("Node memory used", "ray_node_mem_used / ray_node_mem_total", "{{instance}}"),
)
