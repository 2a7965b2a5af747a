"""A box in containers: valid by schema, confined, and what is there of the user's stays."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from commands import run_command
from infmap_kit.errors import ServerError
from infmap_kit.host.box import IMAGE, BoxOptions, box_document, write_box
from infmap_kit.host.container import ContainerOptions
from infmap_kit.node.check.reading import find_faults
from infmap_kit.triton.repository import write_manifest

CONTAINER = ContainerOptions(user="1000:1000")
KSERVE_SCHEMA = Path(__file__).parents[2] / "data" / "kserve" / "inferenceservice.schema.json"


def _repository(folder: Path, target: str) -> Path:
    (folder / "infmap").mkdir(parents=True)
    (folder / "infmap" / "config.pbtxt").write_text('name: "infmap"\n')
    built = {"tensorrt": "11.2.1.2", "compute_capability": "7.5"} if target == "tensorrt" else {}
    model = {"backend": {"gpu": target == "tensorrt"}}
    write_manifest(folder, target=target, precision="fp32", model=model, built_with=built)
    return folder


def _deploy(folder: Path, *options: str) -> dict[str, Any]:
    command = ["deploy", "box", "--output", folder / "box"]
    given = ["--repository", str(folder / "repository"), "--user", "1000:1000", "--json", *options]
    done = run_command("infmap-kit", *command, *given)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_a_box_is_valid_and_each_container_is_confined(tmp_path: Path) -> None:
    _repository(tmp_path / "repository", "embedded")
    told = _deploy(tmp_path, "--sender", "XRAY1")
    box = tmp_path / "box"
    assert told["start"][-4:] == ["--profile", "test-pacs", "up", "--detach"]
    read = yaml.safe_load((box / "compose.yaml").read_text())
    schema = files("check_jsonschema").joinpath("builtin_schemas/vendor/compose-spec.json")
    jsonschema.validate(read, json.loads(schema.read_text(encoding="utf-8")))
    for name, service in read["services"].items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        for volume in service["volumes"]:
            if volume["type"] == "bind":
                source = Path(volume["source"])
                assert source.exists(), source
                assert volume["read_only"] or source == box / "spool"
        published = [port for port in service.get("ports", ()) if not port.startswith("127.0.0.1:")]
        assert published == (["0.0.0.0:11112:11112"] if name == "node" else []), name
    assert read["networks"]["inside"] == {"internal": True}
    assert {name: one["user"] for name, one in read["services"].items() if "user" in one} == {
        "triton": "1000:1000", "node": "1000:1000"
    }  # fmt: skip
    assert read["services"]["triton"]["image"] == read["services"]["node"]["image"] == IMAGE
    assert not read["services"]["triton"]["ports"], "the model server is reached from inside alone"
    assert find_faults(box / "node.toml") == []
    assert (box / "spool").stat().st_mode & 0o777 == 0o700
    assert (box / "secrets").stat().st_mode & 0o777 == 0o700
    if shutil.which("promtool"):
        text = (box / "prometheus.yml").read_text().replace("/etc/prometheus", str(box))
        (box / "here.yml").write_text(text)
        subprocess.run(["promtool", "check", "config", box / "here.yml"], check=True)


def test_what_the_user_wrote_stays(tmp_path: Path) -> None:
    _repository(tmp_path / "repository", "embedded")
    assert _deploy(tmp_path, "--pacs-host", "pacs.hospital")["start"][-2:] == ["up", "--detach"]
    box = tmp_path / "box"
    kept = {"node.toml": "mine", "alerts/alerts.yml": "groups: []", "secrets/grafana": "known"}
    for name, text in kept.items():
        (box / name).write_text(text)
    assert not _deploy(tmp_path)["node_toml"]
    assert {name: (box / name).read_text() for name in kept} == kept
    assert _deploy(tmp_path, "--replace")["node_toml"]
    assert find_faults(box / "node.toml") == []


def test_plans_are_served_by_nvidias_image(tmp_path: Path) -> None:
    repository = _repository(tmp_path / "repository", "tensorrt")
    services = box_document(tmp_path, repository, BoxOptions(container=CONTAINER))["services"]
    assert services["triton"]["image"] == "nvcr.io/nvidia/tritonserver:26.08-py3"
    assert services["triton"]["deploy"]["resources"]["reservations"]["devices"]
    assert services["triton"]["networks"] == ["inside"]
    assert services["node"]["image"] == IMAGE


def test_the_image_is_built_of_an_unpacked_kit(tmp_path: Path) -> None:
    repository = _repository(tmp_path / "repository", "embedded")
    with pytest.raises(ServerError, match="found no Containerfile in"):
        BoxOptions(container=CONTAINER, kit=tmp_path)
    (tmp_path / "Containerfile").write_text("FROM scratch\n")
    write_box(tmp_path / "box", repository, BoxOptions(container=CONTAINER, kit=tmp_path))
    read = yaml.safe_load((tmp_path / "box" / "compose.yaml").read_text())
    for name in ("triton", "node"):
        assert read["services"][name]["build"]["context"] == str(tmp_path)


def test_a_kustomize_folder_is_whole_and_lets_in_who_is_labelled(tmp_path: Path) -> None:
    """Only the InferenceService has a schema here; of the others it is looked at what they name."""
    _repository(tmp_path / "repository", "tensorrt")
    folder = tmp_path / "cluster"
    command = [sys.executable, "-m", "infmap_kit", "deploy", "kserve", "--kustomize", str(folder)]
    given = ["--repository", str(tmp_path / "repository"), "--storage-uri", "pvc://models/infmap"]
    subprocess.run([*command, *given, "--namespace", "radiology"], check=True)
    read = {path.name: yaml.safe_load(path.read_text()) for path in folder.iterdir()}
    assert {"kustomization.yaml", *read["kustomization.yaml"]["resources"]} == read.keys()
    service, policy = read["inferenceservice.yaml"], read["networkpolicy.yaml"]
    jsonschema.validate(service, json.loads(KSERVE_SCHEMA.read_text()))
    selected = policy["spec"]["podSelector"]["matchLabels"]
    assert selected == {"serving.kserve.io/inferenceservice": service["metadata"]["name"]}
    (rule,) = policy["spec"]["ingress"]
    assert rule == {"from": [{"podSelector": {"matchLabels": {"infmap-kit/asks": "true"}}}]}
    for one in (read["kustomization.yaml"], service["metadata"], policy["metadata"]):
        assert one["namespace"] == "radiology"
