"""What `deploy/monitoring` holds: checked by Prometheus's own tools, and run against a real cluster at work."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from raylib.cluster.metrics import METRICS
from raylib.cluster.monitoring import ALERTS, PANELS, dashboard, write
from tests.ports import free_port
from tests.texts import ARTICLE
from tests.training.setup import config, token_sets

ROOT = Path(__file__).parents[3]
needs_prometheus = pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs prometheus and promtool")


def test_files_are_up_to_date(tmp_path: Path) -> None:
    write(tmp_path)
    for made in tmp_path.iterdir():
        assert (ROOT / "deploy" / "monitoring" / made.name).read_text() == made.read_text(), "run python -m raylib.cluster.monitoring"  # fmt: skip


def test_the_dashboard_is_whole() -> None:
    made = dashboard()
    shown = [p for p in made["panels"] if p["type"] != "row"]
    assert len({p["id"] for p in made["panels"]}) == len(made["panels"])
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in shown]
    assert len(set(places)) == len(places), "no panel lies on another"
    text = json.dumps(made)
    for name in METRICS:
        if "spike" not in name:
            assert f"ray_{name}" in text, f"{name} is on no panel"


_SERIES: dict[str, tuple[list[tuple[str, str]], list[tuple[str, str]], str]] = {
    # alert: (series that fire, series that do not, labels of the alert)
    "RaylibStorageFull": ([('ray_raylib_storage_used_share{run="a"}', "0.85x40")], [('ray_raylib_storage_used_share{run="a"}', "0.7x40")], "run: a"),
    "RaylibStageStalled": ([('ray_raylib_last_shard_timestamp_seconds{run="a"}', "0x40")], [('ray_raylib_last_shard_timestamp_seconds{run="a"}', "0+60x40")], "run: a"),
    "RaylibRankHung": ([('ray_raylib_train_heartbeat_timestamp_seconds{run="a",rank="1"}', "0x40"), ('ray_raylib_train_heartbeat_timestamp_seconds{run="a",rank="0"}', "0+60x40")], [('ray_raylib_train_heartbeat_timestamp_seconds{run="a",rank="1"}', "0+60x40")], "run: a, rank: '1'"),
    "RaylibRejectRateJump": ([('ray_raylib_records_in_total{run="a"}', "0+100x120"), ('ray_raylib_rejects_total{run="a",stage="s",reason="r"}', "0+5x100 1000+80x20")], [('ray_raylib_records_in_total{run="a"}', "0+100x120"), ('ray_raylib_rejects_total{run="a",stage="s",reason="r"}', "0+30x120")], "run: a"),
    "RaylibLossSpike": ([('ray_raylib_train_loss{run="a"}', "2x33 5x7")], [('ray_raylib_train_loss{run="a"}', "2x40")], "run: a"),
}  # fmt: skip


@needs_prometheus
def test_alerts_fire_when_they_should_and_only_then(tmp_path: Path) -> None:
    write(tmp_path)
    tests: list[dict[str, Any]] = []
    assert set(_SERIES) == {a[0] for a in ALERTS}
    rules = {r["alert"]: r for r in yaml.safe_load((tmp_path / "alerts.yml").read_text())["groups"][0]["rules"]}
    for name, (firing, silent, labels) in _SERIES.items():
        for series, fires in ((firing, True), (silent, False)):
            expected = [{"exp_labels": {"severity": "warning", **yaml.safe_load(f"{{{labels}}}")}, "exp_annotations": rules[name]["annotations"]}] if fires else []  # fmt: skip
            moment = "110m" if name == "RaylibRejectRateJump" else "37m"
            tests.append({"interval": "1m", "input_series": [{"series": s, "values": v} for s, v in series], "alert_rule_test": [{"eval_time": moment, "alertname": name, "exp_alerts": expected}]})  # fmt: skip
    (tmp_path / "tests.yml").write_text(yaml.safe_dump({"rule_files": ["alerts.yml"], "evaluation_interval": "1m", "tests": tests}))  # fmt: skip
    done = subprocess.run(["promtool", "test", "rules", str(tmp_path / "tests.yml")], capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    done = subprocess.run(["promtool", "check", "config", str(tmp_path / "prometheus.yml")], capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


_DRIVER = """
import json, sys, ray
from raylib.recipe import Recipe
from raylib.engine import run
from training.config import TrainConfig
from training.loop.launch import run as train
ray.init(num_cpus=3, include_dashboard=True, dashboard_port=int(sys.argv[4]), log_to_driver=False, _metrics_export_port=int(sys.argv[3]), _system_config={"metrics_report_interval_ms": 500})
run(Recipe.from_file(sys.argv[1]))
train(TrainConfig.from_dict(json.loads(sys.argv[2])), mode="ray")
"""


@needs_prometheus
@pytest.mark.long
@pytest.mark.cluster
def test_every_panel_shows_a_cluster_at_work(tmp_path: Path, write_jsonl: Callable[..., Path], tiny_model: Path) -> None:  # fmt: skip
    source = write_jsonl([{"id": str(i), "text": f"{ARTICLE}{i}" if i % 4 else "短"} for i in range(400)])
    recipe = tmp_path / "r.yaml"
    recipe.write_text(f"name: watched\ninput: {{path: {source}}}\noutput: {{path: {tmp_path}/out}}\nengine: {{actors: 2, batch_mb: 0.05}}\nstages: [{{length: {{min: 10}}}}, exact_dedup]\n")  # fmt: skip
    tokens = token_sets(tmp_path, tiny_model)
    # long enough to be seen, whatever the machine's speed: it is killed in the end
    training = config(tokens, tiny_model, tmp_path / "runs", steps=100_000, log_every=1, evaluate_every=50, save_every=100_000, parallel={"backend": "plain", "workers": 1, "gpus": "no"}, **{"data.evaluation": [{"path": tokens["pretrain"]}]})  # fmt: skip
    ray_port, port = free_port(), free_port()
    write(tmp_path / "monitoring")
    settings = yaml.safe_load((tmp_path / "monitoring" / "prometheus.yml").read_text())
    assert settings["scrape_configs"][0]["file_sd_configs"] == [{"files": ["/tmp/ray/prom_metrics_service_discovery.json"]}]  # fmt: skip
    settings["global"] |= {"scrape_interval": "1s", "evaluation_interval": "1s"}
    (tmp_path / "monitoring" / "prometheus.yml").write_text(yaml.safe_dump(settings))
    env = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    driver = subprocess.Popen([sys.executable, "-c", _DRIVER, str(recipe), json.dumps(training.describe()), str(ray_port), str(free_port())], cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # fmt: skip
    server = subprocess.Popen(["prometheus", f"--config.file={tmp_path}/monitoring/prometheus.yml", f"--storage.tsdb.path={tmp_path}/tsdb", f"--web.listen-address=127.0.0.1:{port}"], stderr=(tmp_path / "prometheus.log").open("wb"))  # fmt: skip

    def ask(path: str, **parameters: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}", timeout=10) as answer:  # fmt: skip
            return json.loads(answer.read())["data"]

    # no accelerator, no share of its peak
    missing = {q for _, _, queries, _ in PANELS for q, _ in queries if "mfu" not in q}
    try:
        deadline = time.monotonic() + 300
        while missing and time.monotonic() < deadline:
            time.sleep(1)
            assert driver.poll() is None, driver.communicate()[0][-4000:]
            try:
                missing = {q for q in missing if not ask("query", query=q)["result"]}
            except OSError:
                continue  # not up yet
        assert not missing, (missing, (tmp_path / "prometheus.log").read_text()[-2000:])
        rejects = ask("query", query='sum by (run, reason) (ray_raylib_rejects_total{stage="length"})')["result"]
        assert [(r["metric"], float(r["value"][1])) for r in rejects] == [({"run": "watched", "reason": "too_short_or_long"}, 100.0)]  # fmt: skip
        read = ask("query", query='sum(ray_raylib_records_in_total{run="watched"})')["result"]
        assert float(read[0]["value"][1]) == 400
        rules = ask("rules")["groups"][0]["rules"]
        assert len(rules) == len(ALERTS) and all(r["health"] == "ok" for r in rules)
    finally:
        # Ray's processes too: a dashboard that lingers would answer for the cluster of the next test
        ours = [*psutil.Process(driver.pid).children(recursive=True), driver, server]
        for process in ours:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        driver.wait()
        server.wait()
