"""The files for Kubernetes, checked as far as that goes without a cluster: fields, pods, options of Ray, commands."""

from __future__ import annotations

import copy
import json
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from typer.testing import CliRunner

from raylib.cli import app
from tests.texts import ARTICLE

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "deploy" / "kuberay"
FILES = [FOLDER / "raycluster.yaml", FOLDER / "job" / "rayjob.yaml"]
OTHERS = sorted(set(FOLDER.rglob("*.yaml")) - set(FILES) - set(FOLDER.rglob("kustomization.yaml")))
MINIMUM = "1.5.1"  # of KubeRay: older ones do not know authOptions
KUBERNETES = "1.31"

_STRING, _BOOL = {"type": "string"}, {"type": "boolean"}
_COUNT = {"type": "integer", "minimum": 0}
_STRINGS = {"type": "object", "additionalProperties": _STRING}
_POD = {"type": "object"}  # checked against the schemas of Kubernetes


def _closed(required: list[str], **fields: Any) -> dict[str, Any]:
    return {"type": "object", "required": required, "additionalProperties": False, "properties": fields}


# The fields of ray.io/v1 that a file of ours may use, with their types (KubeRay's API reference, v1.7).
CLUSTER = _closed(
    ["headGroupSpec"],
    rayVersion=_STRING,
    enableInTreeAutoscaling=_BOOL,
    suspend=_BOOL,
    authOptions=_closed([], mode={"enum": ["disabled", "token"]}, secretName=_STRING),
    autoscalerOptions=_closed(
        [],
        idleTimeoutSeconds=_COUNT,
        upscalingMode={"enum": ["Default", "Aggressive", "Conservative"]},
        resources=_POD,
        securityContext=_POD,
    ),
    headGroupSpec=_closed(
        ["template"], serviceType=_STRING, enableIngress=_BOOL, rayStartParams=_STRINGS, template=_POD
    ),
    workerGroupSpecs={
        "type": "array",
        "items": _closed(
            ["groupName", "minReplicas", "maxReplicas", "template"],
            groupName=_STRING,
            replicas=_COUNT,
            minReplicas=_COUNT,
            maxReplicas=_COUNT,
            numOfHosts=_COUNT,
            rayStartParams=_STRINGS,
            template=_POD,
            idleTimeoutSeconds=_COUNT,
            suspend=_BOOL,
        ),
    },
)
JOB = _closed(
    ["entrypoint", "rayClusterSpec"],
    entrypoint=_STRING,
    runtimeEnvYAML=_STRING,
    submissionMode={"enum": ["K8sJobMode", "HTTPMode", "SidecarMode", "InteractiveMode"]},
    shutdownAfterJobFinishes=_BOOL,
    ttlSecondsAfterFinished=_COUNT,
    activeDeadlineSeconds=_COUNT,
    backoffLimit=_COUNT,
    rayClusterSpec=CLUSTER,
    submitterPodTemplate=_POD,
)
SPECS = {"RayCluster": CLUSTER, "RayJob": JOB}


def documents(path: Path) -> list[dict[str, Any]]:
    return [d for d in yaml.safe_load_all(path.read_text()) if d]


def groups(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(name, group) of head and workers."""
    cluster = document["spec"].get("rayClusterSpec", document["spec"])
    yield "head", cluster["headGroupSpec"]
    for group in cluster.get("workerGroupSpecs", []):
        yield group["groupName"], group


def pods(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(name, pod) of head and workers."""
    for name, group in groups(document):
        yield name, group["template"]["spec"]


def containers(node: object) -> Iterator[dict[str, Any]]:
    """All containers in a resource, the submitter of a job included."""
    if isinstance(node, dict):
        yield from node.get("containers", [])
        for value in node.values():
            yield from containers(value)
    elif isinstance(node, list):
        for value in node:
            yield from containers(value)


def check(document: dict[str, Any]) -> None:
    """Raises ValidationError for a field that the operator would not take."""
    assert document["apiVersion"] == "ray.io/v1"
    jsonschema.validate(document["spec"], SPECS[document["kind"]])
    for _, group in groups(document):
        pod = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "x"}, "template": group["template"]}
        kubernetes_validate.validate(pod, KUBERNETES, strict=True)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_fields_are_those_of_the_resources(path: Path) -> None:
    for document in documents(path):
        check(document)


@pytest.mark.parametrize("path", OTHERS, ids=lambda p: str(p.relative_to(FOLDER)))
def test_the_other_files_are_resources_of_kubernetes(path: Path) -> None:
    (document,) = documents(path)
    kubernetes_validate.validate(document, KUBERNETES, strict=True)


def test_the_volume_can_be_written_from_many_nodes_and_is_what_the_pods_mount() -> None:
    (claim,) = documents(FOLDER / "volume.yaml")
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    for path in FILES:
        for document in documents(path):
            for name, pod in pods(document):
                claims = [v["persistentVolumeClaim"]["claimName"] for v in pod["volumes"] if v["name"] == "data"]
                assert claims == [claim["metadata"]["name"]], name


def test_no_kustomization_deletes_the_volume() -> None:
    for file in FOLDER.rglob("kustomization.yaml"):
        assert not [r for r in yaml.safe_load(file.read_text()).get("resources", []) if "volume" in r], file


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_pods_are_not_root_and_have_probes_that_need_no_program(path: Path) -> None:
    from ray.dashboard.http_server_agent import PUBLIC_EXACT_PATHS

    accounts = {d["metadata"]["name"] for d in documents(path.with_name("serviceaccount.yaml"))}
    for document in documents(path):
        for name, pod in pods(document):
            assert pod["securityContext"]["runAsNonRoot"], name
            assert f"--uid {pod['securityContext']['runAsUser']}" in (FOLDER / "Dockerfile").read_text(), name
            assert pod["serviceAccountName"] in accounts, name
            (container,) = pod["containers"]
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            }, name
            place = {"path": "/api/gcs_healthz", "port": 8265}
            if name != "head":
                place = {"path": "/api/local_raylet_healthz", "port": 52365}
                assert place["path"] in PUBLIC_EXACT_PATHS, "answered without the token"
            assert container["readinessProbe"]["httpGet"] == container["livenessProbe"]["httpGet"] == place, name
            assert {"containerPort": 8080, "name": "metrics"} in container["ports"], f"{name}: for the PodMonitor"
            limits = container["resources"]["limits"]
            assert ("nvidia.com/gpu" in limits) == ("tolerations" in pod) == ("nodeSelector" in pod), name


def test_the_minimum_version_of_the_operator_is_said_where_it_matters() -> None:
    for file in (
        *FILES,
        FOLDER / "kustomization.yaml",
        FOLDER / "job" / "kustomization.yaml",
        ROOT / "deploy/README.md",
    ):
        assert f"{MINIMUM} or newer" in file.read_text(), file
    assert f"KubeRay {MINIMUM}" in (ROOT / "docs" / "clusters.md").read_text()


def test_the_image_is_named_in_one_place() -> None:
    settings = yaml.safe_load((FOLDER / "settings" / "kustomization.yaml").read_text())
    (image,) = settings["images"]
    for path in FILES:
        for document in documents(path):
            assert {c["image"] for c in containers(document)} == {image["name"]}, path
    for file in (FOLDER / "kustomization.yaml", FOLDER / "job" / "kustomization.yaml"):
        kustomization = yaml.safe_load(file.read_text())
        (component,) = kustomization["components"]
        assert (file.parent / component).resolve() == FOLDER / "settings"
        for name in kustomization["resources"]:
            assert (file.parent / name).is_file(), name


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl")
@pytest.mark.parametrize("folder", [FOLDER, FOLDER / "job", ROOT / "deploy" / "monitoring"], ids=lambda p: p.name)
def test_kustomize_puts_the_image_into_every_pod(folder: Path) -> None:
    said = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    settings = yaml.safe_load((FOLDER / "settings" / "kustomization.yaml").read_text())["images"][0]
    made = [d for d in yaml.safe_load_all(said.stdout) if d["kind"] in SPECS]
    assert bool(made) == (folder.name != "monitoring")
    for document in made:
        check(document)
        assert {c["image"] for c in containers(document)} == {f"{settings['newName']}:{settings['newTag']}"}


@pytest.mark.parametrize("change", ["replica", "container", "quantity"])
def test_the_check_finds_a_wrong_field(change: str) -> None:
    document = copy.deepcopy(documents(FOLDER / "raycluster.yaml")[0])
    group = document["spec"]["workerGroupSpecs"][0]
    container = group["template"]["spec"]["containers"][0]
    if change == "replica":
        group["replica"] = 3
    elif change == "container":
        container["volumeMount"] = []
    else:
        container["resources"]["limits"] = ["8Gi"]
    with pytest.raises((jsonschema.ValidationError, kubernetes_validate.ValidationError)):
        check(document)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_pods_hold_together(path: Path) -> None:
    import ray
    from ray.scripts.scripts import start

    options = {o.removeprefix("--") for p in start.params for o in p.opts}
    for document in documents(path):
        cluster = document["spec"].get("rayClusterSpec", document["spec"])
        assert cluster["rayVersion"] == ray.__version__, "the version that is tested"
        for name, group in groups(document):
            assert set(group["rayStartParams"]) <= options, name
            assert group.get("minReplicas", 0) <= group.get("replicas", 0) <= group.get("maxReplicas", 0), name
            pod = group["template"]["spec"]
            volumes = {v["name"] for v in pod["volumes"]}
            for container in pod["containers"]:
                assert {m["name"] for m in container["volumeMounts"]} == volumes, name
                # Ray takes the limits for what it has; memory or CPUs above the requests may not be there
                if name != "head":
                    assert container["resources"]["requests"] == container["resources"]["limits"], name


def test_the_job_runs_one_of_our_scripts_with_options_that_exist(tmp_path: Path) -> None:
    (document,) = documents(FOLDER / "job" / "rayjob.yaml")
    program, script, *arguments = shlex.split(document["spec"]["entrypoint"])
    assert program == "python"
    assert (ROOT / script).is_file()
    raw = tmp_path / "raw"
    raw.mkdir()
    arguments = [a.replace("/data/raw", str(raw)).replace("/data/clean", str(tmp_path / "out")) for a in arguments]
    recipe = arguments.pop(arguments.index("--recipe") + 1)
    arguments.remove("--recipe")
    (raw / "a.jsonl").write_text(json.dumps({"text": ARTICLE}, ensure_ascii=False) + "\n", "utf-8")
    result = CliRunner().invoke(app, ["run", str(ROOT / recipe), *arguments, "--set", "engine.mode=inline"])
    assert result.exit_code == 0, result.output
    # the image has the scripts and recipes where the entry point looks for them
    docker = (FOLDER / "Dockerfile").read_text()
    assert "WORKDIR /opt/raylib" in docker
    assert "COPY . ." in docker
