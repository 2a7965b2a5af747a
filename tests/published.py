"""Repositories with a text for an engine: quick to publish, and a mixture of two is seen at once."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

from tritonclient.grpc import model_config_pb2 as pb

from infmap_kit.targets.embedded_configs import ServedGraph, set_served_graphs
from infmap_kit.triton import python_model
from infmap_kit.triton.config import config_text, parse_config
from infmap_kit.triton.releases import publishing
from infmap_kit.triton.repository import Manifest, write_manifest


def publish_text(repository: Path, text: str, *, archived: int = 5) -> None:
    """Publish two models whose engine is ``text``."""
    with publishing(repository, archived=archived) as draft:
        for model in ("one", "two"):
            (draft.folder / model / str(draft.release)).mkdir(parents=True)
            (draft.folder / model / "config.pbtxt").write_text(f'name: "{model}"')
            (draft.folder / model / str(draft.release) / "model.onnx").write_text(text)
        write_manifest(
            draft.folder, target="embedded", precision="fp32", model={}, built_with={}, release=draft.release,
        )  # fmt: skip


def texts_of(repository: Path) -> set[str]:
    """The engines of a repository."""
    return {path.read_text() for path in repository.glob("*/*/model.onnx")}


def seal_anew(repository: Path, **changes: Any) -> None:
    """Hash and seal what a repository holds now: what somebody does who knows how manifests are made."""
    manifest = dataclasses.replace(Manifest.read(repository), **changes)
    write_manifest(
        repository,
        target=manifest.target,
        precision=manifest.precision,
        model=manifest.model,
        built_with=manifest.built_with,
        release=manifest.release,
        gate=manifest.gate,
    )


def answered_by_the_runner(repository: Path) -> None:
    """Let the embedded target's runner answer for each graph, in the place of a backend that is not here."""
    for path in repository.glob("*/config.pbtxt"):
        config = parse_config(path.read_text())
        if config.platform == "ensemble":
            continue
        config.backend = "python"
        for group in config.instance_group:
            group.kind = pb.ModelInstanceGroup.KIND_CPU
            group.ClearField("profile")
        if (plan := path.with_name("1") / "model.plan").is_file():
            shutil.copy(plan, plan.with_name("model.onnx"))
        config.ClearField("default_model_filename")
        set_served_graphs(config, [ServedGraph(file="model.onnx", precision="f32", threads=1)])
        path.write_text(config_text(config))
        shutil.copy(python_model.__file__, path.with_name("1") / "model.py")
    seal_anew(repository)
