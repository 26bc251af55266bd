"""No other machine can reach a local Ray: all of its processes listen on loopback, and runs of any name work on it."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import psutil
import pytest

from raylib.cluster.connection import connect
from raylib.cluster.local import LocalCluster
from raylib.cluster.metrics import label_value
from raylib.engine import run
from raylib.recipe import Recipe
from tests.raylib.report.runs import recipe_file


def _is_this_machine(address: str) -> bool:
    ip = ipaddress.ip_address(address)
    mapped = getattr(ip, "ipv4_mapped", None)
    return bool((mapped or ip).is_loopback)


@pytest.mark.cluster
def test_a_local_ray_listens_on_loopback_alone(tmp_path: Path) -> None:
    import ray

    ray.shutdown()
    cluster = LocalCluster(2, 200 << 20, dashboard=True)
    cluster.start()
    try:
        address = cluster.address(wait=120)
        assert address is not None
        assert address.startswith("127.0.0.1:")
        connect(address, log_to_driver=False)
        recipe = Recipe.from_file(recipe_file(tmp_path, 40), {"engine.mode": "ray"})
        run(recipe)
        helper = cluster._process
        assert helper is not None
        family = [psutil.Process(helper.pid), *psutil.Process(helper.pid).children(recursive=True), psutil.Process()]
        open_ = {
            (process.name(), connection.laddr.ip)
            for process in family
            for connection in process.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        }
        assert 52365 not in {int(node["DashboardAgentListenPort"]) for node in ray.nodes()}, "`ray start` wants it"
        assert {name for name, _ in open_} >= {"gcs_server", "raylet"}
        assert not [(name, ip) for name, ip in open_ if not _is_this_machine(ip)]
    finally:
        ray.shutdown()
        cluster.stop()
    assert (tmp_path / "out" / "summary.json").is_file()


def test_labels_are_ascii_without_markup() -> None:
    assert label_value("pages-2 (a) s3://bucket/out_1") == "pages-2 (a) s3://bucket/out_1"
    assert label_value("网页") == "%E7%BD%91%E9%A1%B5"
    for text in ("<img src=x onerror=alert(1)>", "\ud800", "a\nb", "'\"&`\\", "长" * 5000):
        assert label_value(text).isascii()
        assert not set(label_value(text)) & set("<>&'\"`\\\n")
        assert len(label_value(text)) <= 9 * 200
