"""What `deploy/monitoring` holds: checked by Prometheus's own tools, and run against a real cluster at work."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from raylib.cluster.alerts import ALERTS
from raylib.cluster.metrics import METRICS, StageMetrics
from raylib.cluster.monitoring import dashboard, write
from raylib.cluster.panels import PANELS
from tests.ports import free_port
from tests.texts import ARTICLE
from tests.training.setup import config, token_sets
from training.config import TrainConfig

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "deploy" / "monitoring"
_NODES = "/tmp/ray/prom_metrics_service_discovery.json"
needs_prometheus = pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs prometheus and promtool")


def test_files_are_up_to_date(tmp_path: Path) -> None:
    write(tmp_path)
    made, shipped = (
        {p.relative_to(f): p.read_text() for p in f.rglob("*") if p.is_file()} for f in (tmp_path, SHIPPED)
    )
    assert made == shipped, "run python -m raylib.cluster.monitoring"


def test_kubernetes_gets_the_same_alerts_and_the_dashboard() -> None:
    rule = yaml.safe_load((SHIPPED / "prometheusrule.yaml").read_text())
    assert rule["spec"] == yaml.safe_load((SHIPPED / "alerts.yml").read_text())
    kustomization = yaml.safe_load((SHIPPED / "kustomization.yaml").read_text())
    for name in (*kustomization["resources"], *kustomization["configMapGenerator"][0]["files"]):
        assert (SHIPPED / name).is_file(), name


def test_grafana_loads_the_folder_of_the_dashboard() -> None:
    (provider,) = yaml.safe_load((SHIPPED / "provisioning/dashboards/raylib.yml").read_text())["providers"]
    assert provider["options"]["path"] == "${RAYLIB_MONITORING}"
    (source,) = yaml.safe_load((SHIPPED / "provisioning/datasources/raylib.yml").read_text())["datasources"]
    variables: Any = dashboard()["templating"]
    assert variables["list"][0]["query"] == source["type"], "the dashboard finds the data source by its type"


@pytest.mark.parametrize(
    ("output", "label"),
    [
        ("/data/clean", "/data/clean"),
        ("s3://bucket/a@b/clean", "s3://bucket/a@b/clean"),
        ("s3://key:secret@bucket/clean?endpoint_override=x", "s3://bucket/clean"),
    ],
)
def test_the_label_of_an_output_holds_no_secret(output: str, label: str) -> None:
    assert StageMetrics("r", output)._of_all == {"run": "r", "output": label}


def test_no_panel_lies_on_another() -> None:
    panels: Any = dashboard()["panels"]
    assert len({p["id"] for p in panels}) == len(panels)
    covered = [
        (p["gridPos"]["x"] + x, p["gridPos"]["y"] + y)
        for p in panels
        for x in range(p["gridPos"]["w"])
        for y in range(p["gridPos"]["h"])
    ]
    assert len(set(covered)) == len(covered)
    assert max(x for x, _ in covered) < 24


def test_every_metric_is_on_a_panel() -> None:
    text = json.dumps(dashboard())
    for name in METRICS:
        assert f"ray_{name}" in text, f"{name} is not on any panel"


def test_every_expression_is_for_the_chosen_runs() -> None:
    panels: Any = dashboard()["panels"]
    expressions = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    assert len(expressions) == sum(len(panel.queries) for panel in PANELS)
    for expression in expressions:
        assert expression.count("ray_raylib_") == expression.count('{run=~"$run",output=~"$output"'), expression


def test_panels_and_alerts_name_metrics_that_exist() -> None:
    expressions = [query.expression for panel in PANELS for query in panel.queries]
    expressions += [alert.expression for alert in ALERTS]
    for expression in expressions:
        for name in re.findall(r"ray_(raylib_\w+)", expression):
            assert name in METRICS, expression


@dataclass(frozen=True)
class Scene:
    """Series under which an alert fires, series under which it does not, the labels of the alert, and when to look."""

    firing: dict[str, str]
    silent: dict[str, str]
    labels: dict[str, str]
    moment: str = "37m"


def _series(name: str, **labels: str) -> str:
    inside = ",".join(f'{k}="{v}"' for k, v in {"run": "a", "output": "/o", **labels}.items())
    return f"ray_raylib_{name}{{{inside}}}"


def _runs(outcome: str, output: str = "/o", worker: str = "1") -> str:
    cause = "ShardError" if outcome == "failed" else ""
    return _series("runs_total", output=output, outcome=outcome, cause=cause, WorkerId=worker)


_RUN = {"run": "a", "output": "/o"}
_FAILED = {**_RUN, "cause": "ShardError"}
_RECORDS = _series("records_in_total")
_REJECTS = _series("rejects_total", stage="s", reason="r")
_BAD_JSON, _CUT = (_series("rejects_total", stage="read", reason=r) for r in ("bad_json", "truncated_file"))
_REJECTED, _KEPT = (_series("records_total", stage="s", outcome=o) for o in ("rejected", "kept"))
_SHARD = _series("last_shard_timestamp_seconds")
_QUARANTINED, _FAILED_ONCE = (_series("shards_total", phase="0", outcome=o) for o in ("quarantined", "failed"))
_STORAGE = _series("storage_used_share")
_BEAT_0, _BEAT_1 = (_series("train_heartbeat_timestamp_seconds", rank=rank) for rank in "01")
_LOSS = _series("train_loss")
# `_x20` is nothing for 20 minutes: the series of a driver that counts once, and ends, begins late
SCENES = {
    "RaylibRunFailed": Scene({_runs("failed"): "_x20 1x100"}, {_runs("complete"): "_x20 1x100"}, _FAILED),
    "RaylibNothingKept": Scene({_runs("nothing_kept"): "_x20 1x100"}, {_runs("complete"): "_x20 1x100"}, _RUN),
    "RaylibShardsQuarantined": Scene({_QUARANTINED: "_x20 1x100"}, {_FAILED_ONCE: "1x100"}, {**_RUN, "phase": "0"}),
    "RaylibStageRejectsAll": Scene(
        {_REJECTED: "0+50x100"}, {_REJECTED: "0+50x100", _KEPT: "1x100"}, {**_RUN, "stage": "s"}
    ),
    "RaylibUnreadableRecords": Scene(
        {_RECORDS: "0+100x40", _BAD_JSON: "0+2x40"}, {_RECORDS: "0+1000x40", _BAD_JSON: "0+2x40"}, _RUN
    ),
    "RaylibDamagedFile": Scene({_CUT: "_x20 1x100"}, {_BAD_JSON: "1x100"}, {**_RUN, "reason": "truncated_file"}),
    "RaylibStorageFull": Scene({_STORAGE: "0.85x40"}, {_STORAGE: "0.7x40"}, _RUN),
    "RaylibStageStalled": Scene({_SHARD: "0x40"}, {_SHARD: "0+60x40"}, _RUN),
    "RaylibRankHung": Scene({_BEAT_1: "0x40", _BEAT_0: "0+60x40"}, {_BEAT_1: "0+60x40"}, {**_RUN, "rank": "1"}),
    "RaylibRejectRateJump": Scene(
        {_RECORDS: "0+100x120", _REJECTS: "0+5x100 1000+80x20"},
        {_RECORDS: "0+100x120", _REJECTS: "0+30x120"},
        _RUN,
        moment="110m",
    ),
    "RaylibLossSpike": Scene({_LOSS: "2x33 5x7"}, {_LOSS: "2x40"}, _RUN),
}


def test_every_alert_has_a_scene() -> None:
    assert set(SCENES) == {alert.name for alert in ALERTS}


def _expected(name: str, moment: str, *labels: dict[str, str]) -> dict[str, object]:
    """What promtool compares: all alerts of a name at a moment."""
    (alert,) = (a for a in ALERTS if a.name == name)
    annotations = {"summary": alert.summary, "description": alert.description}
    return {
        "eval_time": moment,
        "alertname": name,
        "exp_alerts": [
            {"exp_labels": {"severity": alert.severity, **found}, "exp_annotations": annotations} for found in labels
        ],
    }


def _case(series: dict[str, str], *expected: dict[str, object]) -> dict[str, object]:
    inputs = [{"series": s, "values": v} for s, v in series.items()]
    return {"interval": "1m", "input_series": inputs, "alert_rule_test": list(expected)}


@needs_prometheus
def test_alerts_fire_when_they_should_and_only_then(tmp_path: Path) -> None:
    write(tmp_path)
    # all scenes at once, each with a run of its own, so that an alert must also be silent for the runs of the others
    firing = {s.replace('"a"', f'"{name}"'): v for name, scene in SCENES.items() for s, v in scene.firing.items()}
    silent = {s.replace('"a"', f'"{name}"'): v for name, scene in SCENES.items() for s, v in scene.silent.items()}
    loud = [_expected(name, scene.moment, {**scene.labels, "run": name}) for name, scene in SCENES.items()]
    cases = [_case(firing, *loud), _case(silent, *(_expected(name, s.moment) for name, s in SCENES.items()))]
    # an hour after a failure it is over; another failure is news, of the same run or of one with the same name
    old, again, other = (_runs("failed", f"/{output}", worker) for output, worker in ("o1", "o2", "p3"))
    cases += [_case({old: "_x20 1x200"}, _expected("RaylibRunFailed", "85m"))]
    cases += [_case({old: "1x200", again: "_x80 1x100"}, _expected("RaylibRunFailed", "85m", _FAILED))]
    elsewhere = _expected("RaylibRunFailed", "85m", {**_FAILED, "output": "/p"})
    cases += [_case({old: "1x200", other: "_x80 1x100"}, elsewhere)]
    (tmp_path / "tests.yml").write_text(
        yaml.safe_dump({"rule_files": ["alerts.yml"], "evaluation_interval": "1m", "tests": cases})
    )
    promtool("test", "rules", str(tmp_path / "tests.yml"))


def test_an_alert_is_critical_where_a_run_is_lost() -> None:
    assert {a.name for a in ALERTS if a.severity == "critical"} == {"RaylibRunFailed", "RaylibNothingKept"}


@needs_prometheus
@pytest.mark.parametrize("name", ["prometheus.yml", "prometheus-remote.yml"])
def test_prometheus_accepts_its_configurations(tmp_path: Path, name: str) -> None:
    write(tmp_path)
    (tmp_path / "ray_auth_token").write_text("secret")
    # promtool reads the list of nodes, too, and the machine's own one may be the dead link of a Ray that has ended
    nodes = tmp_path / "nodes.json"
    nodes.write_text(json.dumps([{"labels": {"job": "ray"}, "targets": ["127.0.0.1:8080"]}]))
    file = tmp_path / name
    file.write_text(file.read_text().replace(_NODES, str(nodes)))
    promtool("check", "config", str(file))


def promtool(*arguments: str) -> None:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


_DRIVER = """
import json, sys, ray
from raylib.errors import RaylibError
from raylib.recipe import Recipe
from raylib.engine import run
from training.config import TrainConfig
from training.loop.launch import run as train
_, recipes, training, metrics_port, dashboard_port, folder = sys.argv
ray.init("local", _temp_dir=folder, num_cpus=3, include_dashboard=True, dashboard_port=int(dashboard_port),
         log_to_driver=False, _metrics_export_port=int(metrics_port),
         _system_config={"metrics_report_interval_ms": 500})
for changes in json.loads(recipes):
    try:
        run(Recipe.from_dict(changes))
    except RaylibError as error:
        print(error)
train(TrainConfig.from_dict(json.loads(training)), mode="ray")
"""
# alerts that the runs of this test raise, with the name of the output folder
_RAISED = {
    ("RaylibNothingKept", "nothing"),
    ("RaylibStageRejectsAll", "nothing"),
    ("RaylibShardsQuarantined", "broken"),
    ("RaylibRunFailed", "broken"),
}


def _configure(folder: Path, dashboard_port: int, ray_folder: str) -> Path:
    """The configuration for another machine, which asks this cluster's dashboard; and that for the head beside it."""
    write(folder)
    settings = yaml.safe_load((folder / "prometheus-remote.yml").read_text())
    (scrape,) = settings["scrape_configs"]
    (discovery,) = scrape["http_sd_configs"]
    assert discovery["url"] == "http://localhost:8265/api/prometheus/sd"
    discovery |= {"url": f"http://localhost:{dashboard_port}/api/prometheus/sd", "refresh_interval": "1s"}
    (head,) = yaml.safe_load((folder / "prometheus.yml").read_text())["scrape_configs"]
    (listed,) = head["file_sd_configs"]
    assert listed == {"files": [_NODES]}
    listed |= {"files": [f"{ray_folder}/prom_metrics_service_discovery.json"], "refresh_interval": "1s"}
    head |= {"job_name": "head", "metric_relabel_configs": [{"regex": ".*", "action": "drop"}]}
    settings["scrape_configs"].append(head)
    settings["global"] |= {"scrape_interval": "1s", "evaluation_interval": "1s"}
    (folder / "both.yml").write_text(yaml.safe_dump(settings))
    command = [str(Path(sys.executable).parent / "ray"), "get-auth-token", "--generate"]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    (folder / "ray_auth_token").write_text(said.stdout)
    return folder / "both.yml"


@pytest.fixture
def ray_folder() -> Iterator[str]:
    """A folder for Ray with a short name, for sockets; another Ray on this machine writes to the usual one."""
    folder = tempfile.mkdtemp(prefix="ray")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@needs_prometheus
@pytest.mark.long
@pytest.mark.cluster
def test_every_panel_shows_a_cluster_at_work(
    tmp_path: Path, write_jsonl: Callable[..., Path], tiny_model: Path, ray_folder: str
) -> None:
    recipes, training = work_to_watch(tmp_path, write_jsonl, tiny_model)
    ray_port, dashboard_port, port = free_port(), free_port(), free_port()
    settings = _configure(tmp_path / "monitoring", dashboard_port, ray_folder)
    env = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"} | {"RAY_AUTH_MODE": "token"}
    arguments = [json.dumps(recipes), json.dumps(training.describe()), str(ray_port), str(dashboard_port), ray_folder]
    driver = subprocess.Popen(
        [sys.executable, "-c", _DRIVER, *arguments],
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    command = [
        "prometheus",
        f"--config.file={settings}",
        f"--storage.tsdb.path={tmp_path}/tsdb",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (tmp_path / "prometheus.log").open("wb") as log:
        server = subprocess.Popen(command, stderr=log)

    def ask(path: str, **parameters: str) -> Any:
        address = f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(address, timeout=10) as answer:
            return json.loads(answer.read())["data"]

    def without_result(expressions: set[str]) -> set[str]:
        try:
            return {q for q in expressions if not ask("query", query=q)["result"]}
        except OSError:
            return expressions  # Prometheus is not up yet

    def raised() -> set[tuple[str, str]]:
        labels = [alert["labels"] for alert in ask("alerts")["alerts"]]
        return {(found["alertname"], Path(found.get("output", "")).name) for found in labels}

    # without an accelerator there is no share of its peak
    missing = {query.expression for panel in PANELS for query in panel.queries if "mfu" not in query.expression}
    try:
        deadline = time.monotonic() + 600
        while (missing or raised() != _RAISED) and time.monotonic() < deadline:
            time.sleep(1)
            assert driver.poll() is None, driver.communicate()[0][-4000:]
            missing = without_result(missing)
        assert not missing, (missing, (tmp_path / "prometheus.log").read_text()[-2000:])
        assert raised() == _RAISED
        by_run = ask("query", query='sum by (run, output, reason) (ray_raylib_rejects_total{stage="length"})')["result"]
        rejects = {tuple(r["metric"].values()): float(r["value"][1]) for r in by_run}
        reason = "too_short_or_long"
        # two runs of one name are told apart
        assert rejects == {
            (str(tmp_path / "out"), reason, "watched"): 100,
            (str(tmp_path / "nothing"), reason, "watched"): 400,
        }
        read = ask("query", query=f'sum(ray_raylib_records_in_total{{output="{tmp_path}/out"}})')["result"]
        assert float(read[0]["value"][1]) == 400
        targets = ask("targets")["activeTargets"]
        assert {t["scrapePool"] for t in targets if t["labels"]["instance"].endswith(f":{ray_port}")} == {
            "ray",
            "head",
        }
        rules = ask("rules")["groups"][0]["rules"]
        assert len(rules) == len(ALERTS)
        assert all(r["health"] == "ok" for r in rules)
    finally:
        # Ray's processes too: a dashboard that lingers would answer for the cluster of the next test
        children = psutil.Process(driver.pid).children(recursive=True) if driver.poll() is None else []
        for process in (*children, driver, server):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        driver.communicate()  # and close the pipe
        server.wait()


def work_to_watch(
    folder: Path, write_jsonl: Callable[..., Path], tiny_model: Path
) -> tuple[list[dict[str, object]], TrainConfig]:
    """Recipes, and a training that is long enough to be seen on any machine: the test kills it in the end."""
    source = write_jsonl([{"id": str(i), "text": f"{ARTICLE}{i}" if i % 4 else "短"} for i in range(400)])
    (folder / "unreadable").mkdir()
    (folder / "unreadable" / "a.jsonl").symlink_to("/proc/self/mem")  # EIO, as from a failing disk
    recipe: dict[str, object] = {
        "name": "watched",
        "input": {"path": str(source), "kind": "document"},
        "engine": {"actors": 2, "batch_mb": 0.05, "retries": 1},
    }
    recipes = [
        {**recipe, "output": {"path": f"{folder}/out"}, "stages": [{"length": {"min": 10}}, "exact_dedup"]},
        {**recipe, "output": {"path": f"{folder}/nothing"}, "stages": [{"length": {"min": 100_000}}]},
        {
            **recipe,
            "input": {"path": f"{folder}/unreadable", "kind": "document"},
            "output": {"path": f"{folder}/broken"},
            "stages": [],
        },
    ]
    tokens = token_sets(folder, tiny_model)
    training = config(
        tokens,
        tiny_model,
        folder / "runs",
        steps=100_000,
        log_every=1,
        evaluate_every=2,
        save_every=100_000,
        parallel={"backend": "plain", "workers": 1, "gpus": "no"},
        **{"data.evaluation": [{"path": tokens["pretrain"]}]},
    )
    return recipes, training
