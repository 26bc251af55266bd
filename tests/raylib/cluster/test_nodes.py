"""A cluster of two nodes, one of which sees other folders: a mount is missing there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
import ray
import yaml

from raylib.cluster.connection import connect
from raylib.cluster.local import LocalCluster
from raylib.cluster.nodes import Needed, check_nodes
from raylib.errors import SourceError
from tests.texts import ARTICLE
from tests.training.setup import SHAPES, token_sets


def _can_mount() -> bool:
    probe = ["unshare", "-m", "true"]
    return bool(shutil.which("unshare")) and subprocess.run(probe, capture_output=True, check=False).returncode == 0


pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.skipif(not _can_mount(), reason="needs root and mount namespaces"),
]
_TOKEN = Path("~/.ray/auth_token").expanduser()
_HIDDEN = ("in", "out", "words", "model")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nodes")
    for name in (*_HIDDEN, "shared"):
        (folder / name).mkdir()
    rows = [orjson.dumps({"id": str(i), "text": f"{i}{ARTICLE}"}) for i in range(20)]
    for name in ("in", "shared"):
        (folder / name / "a.jsonl").write_bytes(b"\n".join(rows))
    (folder / "words" / "words.txt").write_text("冰川湖畔\n", "utf-8")
    return folder


@pytest.fixture(scope="module")
def address(place: Path) -> Iterator[str]:
    """A cluster whose second node has empty volumes where the first one has folders with files."""
    cluster = LocalCluster(num_cpus=2, object_store_memory=100_000_000)
    with pytest.MonkeyPatch.context() as patch:  # a local Ray would listen on loopback, where no other node may join
        patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "1")
        cluster.start()
    second = None
    try:
        found = None
        while found is None:
            found = cluster.address(1.0)
        mounts = " && ".join(f"mount -t tmpfs tmpfs {place / name}" for name in _HIDDEN)
        start = f"exec {Path(sys.executable).parent}/ray start --address={found} --num-cpus=2 --block"
        store = "--object-store-memory=100000000 --disable-usage-stats"
        second = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", f"{mounts} && {start} {store}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **({"RAY_AUTH_MODE": "token"} if _TOKEN.exists() else {})},
        )
        connect(found, log_to_driver=False)
        deadline = time.monotonic() + 60
        while sum(n["Alive"] for n in ray.nodes()) < 2:
            assert time.monotonic() < deadline, "the second node does not come"
            time.sleep(0.2)
        yield found
    finally:
        ray.shutdown()
        if second is not None:
            second.terminate()  # it ends its own processes
            second.wait(30)
        cluster.stop()


def raylib(*arguments: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "RAY_TRAIN_V2_ENABLED": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "raylib", *arguments], env=variables, capture_output=True, text=True, check=False
    )


def recipe(place: Path, **sections: object) -> str:
    made = {
        "input": {"path": str(place / "shared" / "*.jsonl")},
        "output": {"path": str(place / "shared" / "run")},
        "stages": [{"length": {"min": 10}}],
    }
    (place / "recipe.yaml").write_text(yaml.safe_dump({**made, **sections}), "utf-8")
    return str(place / "recipe.yaml")


def test_an_input_that_one_node_does_not_see_is_an_error_before_any_work(place: Path, address: str) -> None:
    file = recipe(place, input={"path": str(place / "in" / "*.jsonl")})
    done = raylib("run", file, "--address", address)
    assert done.returncode == 1
    error = done.stderr.strip().splitlines()[-1]
    node = next(n for n in ray.nodes() if not n["Resources"].get("node:__internal_head__"))
    assert error == (
        f"error: a node of the cluster does not see what the run needs: {node['NodeManagerHostname']} "
        f"({node['NodeManagerAddress']}): input.path {place}/in/a.jsonl: No such file or directory there. Mount it at "
        "the same path on every node, or give a URI that all nodes can open, such as s3://...; nothing was started"
    )
    assert not (place / "shared" / "run").exists(), "what was made for the check is removed"


def test_an_output_that_one_node_writes_elsewhere(place: Path, address: str) -> None:
    (place / "out" / "kept_by_user.txt").write_text("x")
    done = raylib("run", recipe(place, output={"path": str(place / "out" / "a" / "run")}), "--address", address)
    assert done.returncode == 1
    assert f"output.path {place}/out/a/run is not the folder that the command sees" in done.stderr
    assert [p.name for p in (place / "out").rglob("*") if p.is_file()] == ["kept_by_user.txt"]


def test_a_lexicon_that_one_node_lacks(place: Path, address: str) -> None:
    words = str(place / "words" / "words.txt")
    done = raylib("run", recipe(place, stages=[{"sensitive": {"lexicon": words}}]), "--address", address)
    assert done.returncode == 1
    assert f"stage 'sensitive': lexicon {words}: No such file or directory there" in done.stderr


def test_a_run_that_all_nodes_see(place: Path, address: str) -> None:
    done = raylib("run", recipe(place), "--address", address)
    assert done.returncode == 0, done.stderr
    assert not [n for n in os.listdir(place / "shared" / "run") if n.startswith(".seen")]


def test_the_question_takes_little_time(place: Path, address: str) -> None:
    needed = [Needed("input.path", str(place / "shared" / "a.jsonl"))]
    output = Needed("output.path", str(place / "shared" / "other"))
    check_nodes(needed, output)
    begun = time.perf_counter()
    check_nodes(needed, output)
    assert time.perf_counter() - begun < 3
    assert os.listdir(place / "shared" / "other") == []


def test_nodes_without_the_resource_are_not_asked(place: Path, address: str) -> None:
    needed = [Needed("input.path", str(place / "in" / "a.jsonl"))]
    with pytest.raises(SourceError, match="does not see what the run needs"):
        check_nodes(needed, None, resource="CPU")
    check_nodes(needed, None, resource="GPU")
    check_nodes(needed, None, resource="node:__internal_head__")


def test_a_folder_that_cannot_be_made_here(place: Path, address: str) -> None:
    with pytest.raises(SourceError, match=r"output\.path: cannot write to .*: Not a directory"):
        check_nodes([], Needed("output.path", str(place / "shared" / "a.jsonl" / "out")))


def test_a_training_whose_model_is_missing_on_one_node(place: Path, address: str, tiny_model: Path) -> None:
    shutil.copytree(tiny_model, place / "model" / "base")
    token_sets(place / "shared", tiny_model)
    config = {
        "objective": "sft",
        "output": str(place / "shared" / "runs"),
        "name": "one",
        "model": {"shape": SHAPES["llama"], "tokenizer": str(place / "model" / "base"), "dtype": "fp32"},
        "data": {"train": [{"path": str(place / "shared" / "sft")}], "sequence_length": 128},
        "parallel": {"backend": "deepspeed", "workers": 2, "zero_stage": 2, "gpus": "no", "max_failures": 0},
        "batch": 4,
        "micro_batch": 1,
        "steps": 2,
    }
    (place / "sft.yaml").write_text(yaml.safe_dump(config), "utf-8")
    done = raylib("train", str(place / "sft.yaml"), "--mode", "ray", "--address", address)
    assert done.returncode == 1
    error = done.stderr.strip().splitlines()[-1]
    assert error.startswith("error: a node of the cluster does not see what the run needs: "), error
    assert f"model.tokenizer {place}/model/base: No such file or directory there" in error
    assert [p for p in (place / "shared" / "runs").rglob("*") if p.is_file()] == []
