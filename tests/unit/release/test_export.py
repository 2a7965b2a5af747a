"""Networks of other frameworks on their way to a repository."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from foreign_networks import (
    ONE_CLASS,
    SCALED,
    SIZE_PX,
    hidden_logits,
    small_radiographs,
    small_unet,
)
from infmap_kit.errors import ExportError, GateFailed
from infmap_kit.gate.comparison import compare
from infmap_kit.gate.engines import OnnxRuntimeEngine
from infmap_kit.gate.runners import ReferenceRunner
from infmap_kit.graphs.adapter.adapter import adapted
from infmap_kit.imaging.network_input import network_input
from infmap_kit.model.adapter import ModelAdapter
from infmap_kit.parts.registry import INFECTION
from infmap_kit.release.export import publish
from infmap_kit.release.source import read_source, with_parts
from infmap_kit.targets.embedded import EmbeddedOptions
from small_network import small_lung_run, small_network, small_run


def _mixing() -> onnx.ModelProto:
    """Normalises by the mean of all pictures of a request."""
    net = small_unet()
    logits = net.last
    mean = net.add("ReduceMean", axes=[0], keepdims=1)
    net.add("Sub", mean, of=logits)
    net.add("Mul", net.stated(np.float32(3)))
    bright = net.add("ReduceMean", axes=[1, 2, 3], keepdims=1, of="input")
    net.add("Add", bright, of=net.nodes[-2].output[0])
    return net.model()


def _baked() -> onnx.ModelProto:
    """`x.view(1, ...)`, as an export for one picture has it."""
    net = small_unet(shape=(1, 3, SIZE_PX, SIZE_PX))
    net.add("Reshape", net.stated(np.array([1, 1, SIZE_PX, SIZE_PX])))
    return net.model()


@pytest.mark.parametrize(
    ("build", "wanted"), [(_baked, "make its first dimension open"), (_mixing, "requests of 2")]
)
def test_a_graph_for_one_picture_or_that_mixes_them_is_not_published(
    build: Callable[[], onnx.ModelProto], wanted: str, tmp_path: Path
) -> None:
    onnx.save(build(), tmp_path / "net.onnx")
    source = read_source(tmp_path / "net.onnx", adapter=ONE_CLASS)
    with pytest.raises(GateFailed, match=wanted) as caught:
        publish(
            source,
            tmp_path / "repository",
            EmbeddedOptions(threads=1),
            pictures=[
                (f"{n}", network_input(r, SIZE_PX)) for n, r in enumerate(small_radiographs())
            ],
        )
    assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / "repository").exists()


def test_a_run_folder_and_a_graph_of_the_contract_need_no_adapter(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="is a run folder.*leave"):
        read_source(small_run(tmp_path / "run"), adapter=ONE_CLASS)
    onnx.save(small_network(), tmp_path / "net.onnx")
    assert "adapter" not in read_source(tmp_path / "net.onnx").identity
    with pytest.raises(ExportError, match="leave --scale out"):
        read_source(tmp_path / "net.onnx", adapter=SCALED)
    with pytest.raises(ExportError, match="ends in Sigmoid already"):
        read_source(tmp_path / "net.onnx", adapter=ModelAdapter(activation="sigmoid"))


def test_lungs_of_the_papers_size_are_not_served_beside_a_network_of_another(
    tmp_path: Path,
) -> None:
    onnx.save(small_unet().model(), tmp_path / "net.onnx")
    source = read_source(tmp_path / "net.onnx", adapter=ONE_CLASS)
    with pytest.raises(ExportError, match="224x224.*found one of 32x32: leave --lungs out"):
        with_parts(source, {"lungs": small_lung_run(tmp_path / "lungs")})


def test_the_gate_takes_no_values_beyond_probabilities_from_its_reference() -> None:
    """The one picture that an export tries may not show logits; each picture of the gate is looked at."""
    graph, _ = adapted(hidden_logits(), SCALED)
    segmentation = INFECTION.prepare(graph, SIZE_PX).SerializeToString()
    runner = ReferenceRunner(OnnxRuntimeEngine(segmentation))
    picture = network_input(small_radiographs()[1], SIZE_PX)
    with pytest.raises(ExportError, match="found values from -.*add --activation sigmoid"):
        compare(runner, runner, [("one", picture)])
