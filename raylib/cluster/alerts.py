"""When Prometheus raises an alarm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from raylib.cluster.panels import rejected_share

__all__ = ["ALERTS", "Alert"]


@dataclass(frozen=True)
class Alert:
    """A rule that fires.

    Attributes:
        name: Name of the rule.
        expression: Fires while this has a result.
        wait: How long the expression must have a result first, such as `5m`.
        summary: What is wrong.
        description: What to do.
        severity: `critical` where a run or its output is lost, otherwise `warning`.
    """

    name: str
    expression: str
    wait: str
    summary: str
    description: str
    severity: Literal["critical", "warning"] = "warning"


_SHORTEST = 100  # records, below which a stage that rejects all of them may be right
_UNREADABLE = 0.01  # share of the records


def _new(metric: str, by: str) -> str:
    """What a counter has counted so far, if it has counted in the last hour; also when that is its first value.

    `increase` does not see a series that begins with 1, as the count of a failed run does.

    Args:
        metric: The counter, with labels to choose by.
        by: Labels to add up by, beside those of the run.
    """
    labels = f"run, output, SessionName{', ' + by if by else ''}"  # another session of Ray counts from 0 again
    now, before = (f"sum by ({labels}) ({metric}{offset})" for offset in ("", " offset 1h"))
    return f"{now} > ({before} or 0 * {now})"


_REJECTED = 'ray_raylib_records_total{outcome="rejected"}'
_UNREAD = 'ray_raylib_rejects_total{stage="read"}'
ALERTS: tuple[Alert, ...] = (
    Alert(
        "RaylibRunFailed",
        _new('ray_raylib_runs_total{outcome="failed"}', "cause"),
        "0m",
        "A run or a training has failed",
        "`raylib logs` shows the error. Remove its cause and start the same command again: it continues from the last"
        " committed shard or checkpoint. This alert ends one hour after the failure.",
        "critical",
    ),
    Alert(
        "RaylibNothingKept",
        _new('ray_raylib_runs_total{outcome="nothing_kept"}', ""),
        "0m",
        "A run has ended without keeping a single record",
        "The report shows which stage rejected the records, and why. Often input.text names the wrong field, or a"
        " threshold is given in percent instead of 0 to 1.",
        "critical",
    ),
    Alert(
        "RaylibShardsQuarantined",
        _new('ray_raylib_shards_total{outcome="quarantined"}', "phase"),
        "0m",
        "Shards were quarantined: their records are in neither kept nor rejected",
        "summary.json names the shards, their input files and their errors: a file that a node cannot read, or a record"
        " on which a stage crashes. The same command tries them again.",
    ),
    Alert(
        "RaylibStageRejectsAll",
        f"({_new(_REJECTED, 'stage')}) > {_SHORTEST} unless"
        ' sum by (run, output, SessionName, stage) (ray_raylib_records_total{outcome="kept"}) > 0',
        "1m",
        "A stage rejects every record that reaches it",
        "`raylib ui OUT` shows the rejected records with their reasons. Correct the parameters of the stage and start"
        " the run again with --update.",
    ),
    Alert(
        "RaylibUnreadableRecords",
        f"({_new(_UNREAD, '')}) / sum by (run, output, SessionName) (ray_raylib_records_in_total) > {_UNREADABLE}",
        "1m",
        "More than 1 % of the records cannot be read",
        "`raylib inspect` shows why for a single file. The rejected records with stage `read` hold file and line.",
    ),
    Alert(
        "RaylibDamagedFile",
        _new(
            'ray_raylib_rejects_total{stage="read",reason=~"unreadable_file|truncated_file|expansion_limit"}', "reason"
        ),
        "0m",
        "An input file is damaged, so the rest of it was not read",
        "The rejected record with stage `read` names the file. Deliver the file again and start the same command.",
    ),
    Alert(
        "RaylibStorageFull",
        "max by (run, output) (ray_raylib_storage_used_share) > 0.8"
        " or max by (instance) (ray_node_disk_utilization_percentage) / 100 > 0.8",
        "1m",
        "A volume is more than 80 % full",
        "Free space or move output.path. A run stops when it cannot write, and continues from its last committed shard"
        " when you start it again.",
    ),
    Alert(
        "RaylibStageStalled",
        "time() - max by (run, output) (ray_raylib_last_shard_timestamp_seconds) > 900",
        "1m",
        "A run has not committed a shard for 15 minutes",
        "Check the actors of the run on Ray's dashboard, and its log with `raylib logs`. A shard that fails is retried"
        " and then quarantined; a shard that never ends is not.",
    ),
    Alert(
        "RaylibRankHung",
        "time() - max by (run, output, rank) (ray_raylib_train_heartbeat_timestamp_seconds) > 600",
        "1m",
        "A training worker has not completed a step for 10 minutes",
        "The watchdog stops the worker after hang_minutes and writes stacks-RANK.txt to the folder of the run.",
    ),
    Alert(
        "RaylibRejectRateJump",
        f"({rejected_share('5m')}) > 0.05 + 2 * ({rejected_share('1h')})",
        "5m",
        "The share of rejected records is more than twice that of the last hour",
        "Look for a new source or a damaged file: `raylib ui OUT` shows the rejected records by reason.",
    ),
    Alert(
        "RaylibLossSpike",
        "ray_raylib_train_loss > 1.5 * avg_over_time(ray_raylib_train_loss[30m])",
        "2m",
        "The loss is more than 50 % above its average of the last 30 minutes",
        "Lower the learning rate or warm up longer. metrics.jsonl has the loss of each step by source of its data.",
    ),
)
