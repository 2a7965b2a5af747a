"""What a server of this machine is told, by one that writes it down: the backends concerned are not here."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from infmap_kit.errors import ServerError
from infmap_kit.serving.server import serving
from infmap_kit.triton.releases import publishing
from infmap_kit.triton.repository import write_manifest

_SERVER = f"""#!{sys.executable}
import json, os, sys
told = {{"arguments": sys.argv[1:], "environment": dict(os.environ)}}
open(os.environ["TOLD"], "w").write(json.dumps(told))
sys.exit(1)
"""


@pytest.mark.parametrize(
    ("target", "precision", "model", "argument", "variable"),
    [
        ("openvino", "fp32", {}, "", ("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_VNNI")),
        ("openvino", "bf16", {}, "", ("ONEDNN_MAX_CPU_ISA", None)),
        ("onnxruntime", "fp32", {"backend": {"gpu": True}}, "", ("NVIDIA_TF32_OVERRIDE", "0")),
        ("onnxruntime", "fp16", {"backend": {"gpu": True}}, "", ("NVIDIA_TF32_OVERRIDE", None)),
        (
            "tensorrt", "fp16", {},
            "--backend-config=tensorrt,version-compatible=true", ("NVIDIA_TF32_OVERRIDE", None),
        ),
    ],
)  # fmt: skip
def test_a_server_is_told_what_the_repositorys_target_asks_for(
    target: str,
    precision: str,
    model: dict[str, object],
    argument: str,
    variable: tuple[str, str | None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = tmp_path / "bin" / "tritonserver"
    server.parent.mkdir()
    server.write_text(_SERVER)
    server.chmod(0o755)
    monkeypatch.setenv("PATH", f"{server.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("TOLD", str(tmp_path / "told.json"))
    repository = tmp_path / "model_repository"
    with publishing(repository) as draft:
        folder = draft.folder / "segmentation"
        folder.mkdir()
        (folder / "config.pbtxt").write_text(f'name: "segmentation"\nbackend: "{target}"\n')
        write_manifest(
            draft.folder, target=target, precision=precision, model=model,
            built_with={"version_compatible": "yes"} if argument else {}, release=draft.release,
        )  # fmt: skip
    with pytest.raises(ServerError), serving(repository):
        pass
    told = json.loads((tmp_path / "told.json").read_text())
    assert told["environment"].get(variable[0]) == variable[1]
    backend_options = [
        line for line in told["arguments"] if line.startswith("--backend-config=tensorrt")
    ]
    assert backend_options == ([argument] if argument else [])
