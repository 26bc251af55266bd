"""Grafana dashboard, alerts and Prometheus configuration, made of the metrics: `python -m raylib.cluster.monitoring [FOLDER]`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from raylib.cluster.metrics import METRICS

__all__ = ["ALERTS", "PANELS", "alerts", "dashboard", "prometheus", "write"]


# (row, title, [(expression, legend)], unit)
PANELS: tuple[tuple[str, str, tuple[tuple[str, str], ...], str], ...] = (
    ("Data", "Documents a second", (("sum by (run) (rate(ray_raylib_records_in_total[1m]))", "{{run}}"),), "short"),
    ("Data", "Input bytes a second", (("sum by (run) (rate(ray_raylib_bytes_total[1m]))", "{{run}}"),), "Bps"),
    ("Data", "Shards committed and failed", (("sum by (run, phase, outcome) (ray_raylib_shards_total)", "{{run}} {{phase}} {{outcome}}"),), "short"),
    ("Data", "Rejected share of what is read", (("sum by (run) (rate(ray_raylib_rejects_total[5m])) / sum by (run) (rate(ray_raylib_records_in_total[5m]))", "{{run}}"),), "percentunit"),
    ("Data", "Rejects by reason", (("topk(12, sum by (run, stage, reason) (rate(ray_raylib_rejects_total[5m])))", "{{run}} {{stage}}/{{reason}}"),), "short"),
    ("Data", "Where the time goes", (("topk(12, sum by (run, stage) (rate(ray_raylib_stage_seconds_total[5m])))", "{{run}} {{stage}}"),), "short"),
    ("Data", "Seconds since a shard was committed", (("time() - max by (run) (ray_raylib_last_shard_timestamp_seconds)", "{{run}}"),), "s"),
    ("Data", "Records by stage", (("sum by (run, stage, outcome) (ray_raylib_records_total)", "{{run}} {{stage}} {{outcome}}"),), "short"),
    ("Training", "Loss", (("ray_raylib_train_loss", "{{run}}"), ("ray_raylib_train_eval_loss", "{{run}} evaluation")), "short"),
    ("Training", "Perplexity of evaluation", (("ray_raylib_train_eval_perplexity", "{{run}}"),), "short"),
    ("Training", "Gradient norm", (("ray_raylib_train_grad_norm", "{{run}}"),), "short"),
    ("Training", "Learning rate", (("ray_raylib_train_lr", "{{run}}"),), "sci"),
    ("Training", "Tokens a second and worker", (("ray_raylib_train_tgs", "{{run}}"),), "short"),
    ("Training", "TFLOPs a worker", (("ray_raylib_train_tflops", "{{run}}"),), "short"),
    ("Training", "Model FLOPs utilisation", (("ray_raylib_train_mfu", "{{run}}"),), "percentunit"),
    ("Training", "A step's time", (("ray_raylib_train_seconds_data", "{{run}} reading"), ("ray_raylib_train_seconds_model", "{{run}} passes"), ("ray_raylib_train_seconds_update", "{{run}} optimizer")), "s"),
    ("Training", "Tokens so far", (("ray_raylib_train_tokens", "{{run}}"),), "short"),
    ("Training", "Seconds since each worker's last step", (("time() - max by (run, rank) (ray_raylib_train_heartbeat_timestamp_seconds)", "{{run}} worker {{rank}}"),), "s"),
    ("Machines", "Volume of outputs, used", (("max by (run) (ray_raylib_storage_used_share)", "{{run}}"),), "percentunit"),
    ("Machines", "Disks of nodes, used", (("ray_node_disk_utilization_percentage / 100", "{{instance}}"),), "percentunit"),
    ("Machines", "Memory of worker 0", (("ray_raylib_train_memory_gb", "{{run}}"),), "decgbytes"),
    ("Machines", "Memory of nodes, used", (("ray_node_mem_used / ray_node_mem_total", "{{instance}}"),), "percentunit"),
)  # fmt: skip
# (name, expression, for, what is wrong, what to do)
ALERTS: tuple[tuple[str, str, str, str, str], ...] = (
    ("RaylibStorageFull", "max by (run) (ray_raylib_storage_used_share) > 0.8 or max by (instance) (ray_node_disk_utilization_percentage) / 100 > 0.8", "1m",
     "A volume is over 80 % full", "Free some, or move output.path: a run stops when it cannot write, and goes on when it is started again."),
    ("RaylibStageStalled", "time() - max by (run) (ray_raylib_last_shard_timestamp_seconds) > 900", "1m",
     "No shard of a run was committed for 15 minutes", "Look at its actors on the dashboard, and at the log with `raylib logs`; a shard that cannot be done is quarantined, one that is endless is not."),
    ("RaylibRankHung", "time() - max by (run, rank) (ray_raylib_train_heartbeat_timestamp_seconds) > 600", "1m",
     "A training worker did no step for 10 minutes", "The watchdog ends it after hang_minutes and leaves stacks-RANK.txt in the run's folder."),
    ("RaylibRejectRateJump", "(sum by (run) (rate(ray_raylib_rejects_total[5m])) / sum by (run) (rate(ray_raylib_records_in_total[5m]))) > 0.05 + 2 * (sum by (run) (rate(ray_raylib_rejects_total[1h])) / sum by (run) (rate(ray_raylib_records_in_total[1h])))", "5m",
     "Twice as many records are rejected as in the hour before", "Look for a new source or a damaged file: `raylib ui OUT`, rejects by reason."),
    ("RaylibLossSpike", "ray_raylib_train_loss > 1.5 * avg_over_time(ray_raylib_train_loss[30m])", "2m",
     "The loss is half above its level of the last 30 minutes", "A lower learning rate or a longer warm-up; the data of these steps is in metrics.jsonl."),
)  # fmt: skip


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana imports it."""
    panels: list[dict[str, Any]] = []
    y, column, row = 0, 0, ""
    for number, (name, title, queries, unit) in enumerate(PANELS, 1):
        if name != row:
            y += 8 if column else 0
            panels.append({"type": "row", "title": name, "id": 1000 + number, "collapsed": False, "panels": [], "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}})  # fmt: skip
            y, column, row = y + 1, 0, name
        used = [m for m in METRICS.values() if any(f"ray_{m.name}" in q for q, _ in queries)]
        panels.append(
            {
                "type": "timeseries", "title": title, "id": number, "description": " ".join(m.description for m in used),
                "datasource": {"type": "prometheus", "uid": "${datasource}"}, "gridPos": {"x": 8 * column, "y": y, "w": 8, "h": 8},
                "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
                "targets": [{"refId": chr(65 + i), "expr": _filtered(q), "legendFormat": legend} for i, (q, legend) in enumerate(queries)],
            }
        )  # fmt: skip
        column += 1
        if column == 3:
            y, column = y + 8, 0
    variables = [
        {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"},
        {
            "name": "run", "type": "query", "label": "Run", "datasource": {"type": "prometheus", "uid": "${datasource}"}, "refresh": 2, "multi": True, "includeAll": True, "allValue": ".*",
            "query": {"query": 'query_result(group by (run) ({__name__=~"ray_raylib_.*"}))', "refId": "run"}, "regex": '/run="([^"]+)"/',
        },
    ]  # fmt: skip
    return {
        "title": "raylib", "uid": "raylib", "tags": ["ray", "raylib"], "schemaVersion": 39, "version": 1, "refresh": "10s", "timezone": "browser",
        "time": {"from": "now-1h", "to": "now"}, "templating": {"list": variables}, "panels": panels,
    }  # fmt: skip


def _filtered(query: str) -> str:
    """The expression for the runs that the dashboard's variable names."""
    for name in sorted(METRICS, key=len, reverse=True):
        query = query.replace(f"ray_{name}[", f'ray_{name}{{run=~"$run"}}[').replace(f"ray_{name})", f'ray_{name}{{run=~"$run"}})')  # fmt: skip
        if query == f"ray_{name}":
            query += '{run=~"$run"}'
    return query


def alerts() -> dict[str, Any]:
    """Rules as Prometheus reads them."""
    rules = [
        {"alert": name, "expr": expression, "for": wait, "labels": {"severity": "warning"}, "annotations": {"summary": what, "description": do}}
        for name, expression, wait, what, do in ALERTS
    ]  # fmt: skip
    return {"groups": [{"name": "raylib", "rules": rules}]}


def prometheus() -> dict[str, Any]:
    """A configuration that finds the nodes of a Ray cluster by the file that its head writes."""
    return {
        "global": {"scrape_interval": "10s", "evaluation_interval": "10s"},
        "rule_files": ["alerts.yml"],
        "scrape_configs": [
            {"job_name": "ray", "file_sd_configs": [{"files": ["/tmp/ray/prom_metrics_service_discovery.json"]}]}
        ],
    }


def write(folder: Path) -> None:
    """Write all of it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "grafana-raylib.json").write_text(json.dumps(dashboard(), indent=1) + "\n")
    note = "# Made by `python -m raylib.cluster.monitoring`; change raylib/cluster/monitoring.py instead.\n"
    for name, data in (("alerts.yml", alerts()), ("prometheus.yml", prometheus())):
        (folder / name).write_text(note + yaml.safe_dump(data, sort_keys=False, width=160))


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "deploy/monitoring"))
