"""Card, driver and image of a repository of plans, on the right GPU, on another one, and on none."""

from __future__ import annotations

from typing import Any

import pytest

from infmap_kit.site_acceptance.line import AcceptanceLine, AcceptanceOutcome
from infmap_kit.site_acceptance.steps.host import driver_table, gpu_lines
from infmap_kit.tensorrt import gpus
from infmap_kit.tensorrt.present_gpu import PresentGpu
from infmap_kit.triton.repository import Manifest

IMAGE = "nvcr.io/nvidia/tritonserver:26.08-py3"
TURING = PresentGpu(
    name="NVIDIA GeForce RTX 2080 Ti", capability="7.5", driver=580, memory_mib=11264
)


def _manifest(**built: str) -> Manifest:
    built_with = {
        "tensorrt": "11.2.1.2",
        "gpu": TURING.name,
        "compute_capability": "7.5",
        "image": IMAGE,
        **built,
    }
    model: dict[str, Any] = {"backend": {"gpu": True}}
    return Manifest(
        target="tensorrt", precision="fp16", model=model, files={}, built_with=built_with
    )


def _lines(manifest: Manifest, gpu: PresentGpu | None) -> dict[str, AcceptanceLine]:
    return {line.name: line for line in gpu_lines(manifest, gpu)}


def test_the_gpu_that_built_the_plans_passes() -> None:
    lines = _lines(_manifest(), TURING)
    assert {name: line.outcome for name, line in lines.items()} == dict.fromkeys(
        ("card", "driver", "image"), AcceptanceOutcome.PASSED
    )
    assert lines["image"].found == IMAGE


def test_without_a_gpu_nothing_passes_and_the_host_is_not_accepted() -> None:
    for line in _lines(_manifest(), None).values():
        assert line.outcome is AcceptanceOutcome.NOT_RUN
        assert line.found == "needs a GPU, and none is here"
        assert line.stands_in_the_way


@pytest.mark.parametrize(
    ("gpu", "name", "found"),
    [
        (
            PresentGpu(name="NVIDIA L4", capability="8.9", driver=580),
            "card",
            "compute capability 7.5",
        ),
        (PresentGpu(name=TURING.name, capability="7.5", driver=470), "driver", "needs driver 580"),
    ],
)
def test_another_card_and_an_old_driver_are_named(gpu: PresentGpu, name: str, found: str) -> None:
    line = _lines(_manifest(), gpu)[name]
    assert line.outcome is AcceptanceOutcome.FAILED
    assert found in line.found


def test_an_image_that_the_table_no_longer_names_is_found() -> None:
    line = _lines(_manifest(image=IMAGE.replace("26.08", "26.07")), TURING)["image"]
    assert line.outcome is AcceptanceOutcome.FAILED
    assert (line.expected, line.found) == (IMAGE.replace("26.08", "26.07"), IMAGE)


def test_the_table_of_drivers_is_held_to_nvidias(monkeypatch: pytest.MonkeyPatch) -> None:
    assert driver_table().outcome is AcceptanceOutcome.PASSED
    table = {
        **gpus._table(),
        "images": {"24.10": {**gpus._table()["images"]["24.10"], "driver": 450}},
    }
    monkeypatch.setattr(gpus, "_table", lambda: table)
    line = driver_table()
    assert line.outcome is AcceptanceOutcome.FAILED
    assert line.found.startswith(
        "image 24.10 with CUDA 12 names driver 450: install infmap-kit again"
    )


def test_where_no_gpu_is_needed_no_line_asks_for_one() -> None:
    manifest = Manifest(target="embedded", precision="fp32", model={}, files={}, built_with={})
    for line in _lines(manifest, None).values():
        assert line.outcome is AcceptanceOutcome.NOT_RUN
        assert not line.stands_in_the_way
        assert (line.expected, line.found) == (
            "none needed",
            "none is here; this repository needs no GPU",
        )
