"""What `deploy/monitoring` holds: checked by Prometheus's own tools, and run against a real cluster at work."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from raylib.cluster.metrics import METRICS
from raylib.cluster.monitoring import ALERTS, PANELS, Alert, dashboard, write
from tests.ports import free_port
from tests.texts import ARTICLE
from tests.training.setup import config, token_sets
from training.config import TrainConfig

ROOT = Path(__file__).parents[3]
needs_prometheus = pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs prometheus and promtool")


def test_files_are_up_to_date(tmp_path: Path) -> None:
    write(tmp_path)
    for made in tmp_path.iterdir():
        shipped = ROOT / "deploy" / "monitoring" / made.name
        assert shipped.read_text() == made.read_text(), "run python -m raylib.cluster.monitoring"


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
        assert expression.count("ray_raylib_") == expression.count('{run=~"$run"}'), expression


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


_RECORDS = 'ray_raylib_records_in_total{run="a"}'
_REJECTS = 'ray_raylib_rejects_total{run="a",stage="s",reason="r"}'
_SHARD = 'ray_raylib_last_shard_timestamp_seconds{run="a"}'
_STORAGE = 'ray_raylib_storage_used_share{run="a"}'
_BEAT_0, _BEAT_1 = (f'ray_raylib_train_heartbeat_timestamp_seconds{{run="a",rank="{rank}"}}' for rank in (0, 1))
_LOSS = 'ray_raylib_train_loss{run="a"}'
SCENES = {
    "RaylibStorageFull": Scene({_STORAGE: "0.85x40"}, {_STORAGE: "0.7x40"}, {"run": "a"}),
    "RaylibStageStalled": Scene({_SHARD: "0x40"}, {_SHARD: "0+60x40"}, {"run": "a"}),
    "RaylibRankHung": Scene({_BEAT_1: "0x40", _BEAT_0: "0+60x40"}, {_BEAT_1: "0+60x40"}, {"run": "a", "rank": "1"}),
    "RaylibRejectRateJump": Scene(
        {_RECORDS: "0+100x120", _REJECTS: "0+5x100 1000+80x20"},
        {_RECORDS: "0+100x120", _REJECTS: "0+30x120"},
        {"run": "a"},
        moment="110m",
    ),
    "RaylibLossSpike": Scene({_LOSS: "2x33 5x7"}, {_LOSS: "2x40"}, {"run": "a"}),
}


def test_every_alert_has_a_scene() -> None:
    assert set(SCENES) == {alert.name for alert in ALERTS}


@needs_prometheus
@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
@pytest.mark.parametrize("fires", [True, False], ids=["fires", "silent"])
def test_alerts_fire_when_they_should_and_only_then(tmp_path: Path, alert: Alert, fires: bool) -> None:
    write(tmp_path)
    scene = SCENES[alert.name]
    annotations = {"summary": alert.summary, "description": alert.description}
    expected = {"exp_labels": {"severity": "warning", **scene.labels}, "exp_annotations": annotations}
    case = {
        "interval": "1m",
        "input_series": [{"series": s, "values": v} for s, v in (scene.firing if fires else scene.silent).items()],
        "alert_rule_test": [
            {"eval_time": scene.moment, "alertname": alert.name, "exp_alerts": [expected] if fires else []}
        ],
    }
    tests = {"rule_files": ["alerts.yml"], "evaluation_interval": "1m", "tests": [case]}
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(tests))
    promtool("test", "rules", str(tmp_path / "tests.yml"))


@needs_prometheus
def test_prometheus_accepts_its_configuration(tmp_path: Path) -> None:
    write(tmp_path)
    promtool("check", "config", str(tmp_path / "prometheus.yml"))


def promtool(*arguments: str) -> None:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


_DRIVER = """
import json, sys, ray
from raylib.recipe import Recipe
from raylib.engine import run
from training.config import TrainConfig
from training.loop.launch import run as train
ray.init(num_cpus=3, include_dashboard=True, dashboard_port=int(sys.argv[4]), log_to_driver=False,
         _metrics_export_port=int(sys.argv[3]), _system_config={"metrics_report_interval_ms": 500})
run(Recipe.from_file(sys.argv[1]))
train(TrainConfig.from_dict(json.loads(sys.argv[2])), mode="ray")
"""


@needs_prometheus
@pytest.mark.long
@pytest.mark.cluster
def test_every_panel_shows_a_cluster_at_work(
    tmp_path: Path, write_jsonl: Callable[..., Path], tiny_model: Path
) -> None:
    recipe, training = work_to_watch(tmp_path, write_jsonl, tiny_model)
    ray_port, port = free_port(), free_port()
    write(tmp_path / "monitoring")
    settings = yaml.safe_load((tmp_path / "monitoring" / "prometheus.yml").read_text())
    (discovery,) = settings["scrape_configs"][0]["file_sd_configs"]
    assert discovery == {"files": ["/tmp/ray/prom_metrics_service_discovery.json"]}
    settings["global"] |= {"scrape_interval": "1s", "evaluation_interval": "1s"}
    (tmp_path / "monitoring" / "prometheus.yml").write_text(yaml.safe_dump(settings))
    env = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    arguments = [str(recipe), json.dumps(training.describe()), str(ray_port), str(free_port())]
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
        f"--config.file={tmp_path}/monitoring/prometheus.yml",
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

    # without an accelerator there is no share of its peak
    missing = {query.expression for panel in PANELS for query in panel.queries if "mfu" not in query.expression}
    try:
        deadline = time.monotonic() + 300
        while missing and time.monotonic() < deadline:
            time.sleep(1)
            assert driver.poll() is None, driver.communicate()[0][-4000:]
            missing = without_result(missing)
        assert not missing, (missing, (tmp_path / "prometheus.log").read_text()[-2000:])
        (rejects,) = ask("query", query='sum by (run, reason) (ray_raylib_rejects_total{stage="length"})')["result"]
        assert rejects["metric"] == {"run": "watched", "reason": "too_short_or_long"}
        assert float(rejects["value"][1]) == 100
        read = ask("query", query='sum(ray_raylib_records_in_total{run="watched"})')["result"]
        assert float(read[0]["value"][1]) == 400
        rules = ask("rules")["groups"][0]["rules"]
        assert len(rules) == len(ALERTS)
        assert all(r["health"] == "ok" for r in rules)
    finally:
        # Ray's processes too: a dashboard that lingers would answer for the cluster of the next test
        ours = [*psutil.Process(driver.pid).children(recursive=True), driver, server]
        for process in ours:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        driver.communicate()  # and close the pipe
        server.wait()


def work_to_watch(folder: Path, write_jsonl: Callable[..., Path], tiny_model: Path) -> tuple[Path, TrainConfig]:
    """A recipe, and a training that is long enough to be seen on any machine: the test kills it in the end."""
    source = write_jsonl([{"id": str(i), "text": f"{ARTICLE}{i}" if i % 4 else "短"} for i in range(400)])
    recipe = folder / "r.yaml"
    recipe.write_text(
        f"name: watched\ninput: {{path: {source}}}\noutput: {{path: {folder}/out}}\n"
        "engine: {actors: 2, batch_mb: 0.05}\nstages: [{length: {min: 10}}, exact_dedup]\n"
    )
    tokens = token_sets(folder, tiny_model)
    training = config(
        tokens,
        tiny_model,
        folder / "runs",
        steps=100_000,
        log_every=1,
        evaluate_every=50,
        save_every=100_000,
        parallel={"backend": "plain", "workers": 1, "gpus": "no"},
        **{"data.evaluation": [{"path": tokens["pretrain"]}]},
    )
    return recipe, training
