"""The configs of Triton's own backends on a real server, as far as a server without these backends can tell.

Here Triton has the python backend alone, so each graph is answered by the OpenVINO runner; batching, the
mixture of batching and other models in one ensemble, and the warm-up files are as published.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from tritonclient import grpc

from infmap_kit.errors import HostMismatch
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.model.tensors import SUMMARY_OUTPUTS
from infmap_kit.parts.contract import ENSEMBLE, Contract
from infmap_kit.release.export import publish
from infmap_kit.release.source import read_source
from infmap_kit.serving.server import free_ports, serving
from infmap_kit.targets.onnxruntime import OnnxruntimeOptions
from infmap_kit.targets.openvino import OpenvinoOptions
from infmap_kit.triton.client import InfmapClient
from infmap_kit.triton.server.process import TritonServer
from infmap_kit.triton.server.runtime import find_runtime
from published import answered_by_the_runner
from settled import requests_settled
from small_network import small_network

OUTPUTS = tuple(tensor.name for tensor in ENSEMBLE.outputs)
SUMMARY = tuple(tensor.name for tensor in SUMMARY_OUTPUTS)
SUBSETS = [
    *(subset for size in range(1, 5) for subset in itertools.combinations(OUTPUTS, size)),
    *((name,) for name in SUMMARY),
    ("DETECTED", "SEVERITY", *SUMMARY, "INFECTION_MAP"),
    (*OUTPUTS, *SUMMARY),
]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("backends")
    onnx.save(small_network(), folder / "small.onnx")
    repository = folder / "model_repository"
    publish(
        read_source(folder / "small.onnx"),
        repository,
        OnnxruntimeOptions(gpu=False, batches=(1, 4)),
        pictures=synthetic_pictures()[:1],
    )
    answered_by_the_runner(repository)
    with TritonServer(repository, runtime=find_runtime(), options=free_ports()) as server:
        yield server.grpc_url


def _ask(
    url: str, images: NDArray[np.uint8], canvases: NDArray[np.uint8]
) -> dict[str, NDArray[np.uint8]]:
    inputs = []
    for name, pixels in (("IMAGE", images), ("CANVAS", canvases)):
        tensor = grpc.InferInput(name, list(pixels.shape), "UINT8")
        tensor.set_data_from_numpy(pixels)
        inputs.append(tensor)
    with grpc.InferenceServerClient(url) as client:
        result = client.infer(ENSEMBLE.name, inputs)
    return {output.name: result.as_numpy(output.name) for output in ENSEMBLE.outputs}


@pytest.mark.parametrize("subset", SUBSETS, ids="+".join)
def test_any_subset_of_outputs_can_be_asked_for(url: str, subset: tuple[str, ...]) -> None:
    with InfmapClient(url) as client:
        picture = np.zeros((224, 224), np.uint8)
        assert tuple(client.infer(picture, picture, outputs=subset)) == subset


def test_what_is_not_asked_for_is_not_computed(url: str) -> None:
    picture = np.zeros((224, 224), np.uint8)
    with InfmapClient(url) as client:
        client.infer(picture, picture)
        before = requests_settled(client)
        client.infer(picture, outputs=["DETECTED"])
        client.infer(picture, picture, outputs=["INFECTION_MAP"])
        client.infer(picture, outputs=["PROBABILITY_UINT8"])
        after = requests_settled(client)
    names = [graph.name for graph in Contract(summary=True).graphs]
    done = {name: after[name] - before[name] for name in names}
    assert done == {"segmentation": 3, "detection": 1, "rendering": 1, "summary": 1}


def test_the_server_for_cpus_says_that_it_lacks_the_backend(tmp_path: Path) -> None:
    onnx.save(small_network(), tmp_path / "small.onnx")
    repository = tmp_path / "model_repository"
    options = OpenvinoOptions(batches=(1,))
    publish(
        read_source(tmp_path / "small.onnx"), repository, options, pictures=synthetic_pictures()[:1]
    )
    if find_runtime().backends is None:
        pytest.skip("a tritonserver is on the PATH, and its backends are its own")
    with pytest.raises(HostMismatch, match="--runtime docker"), serving(repository, free_ports()):
        pass


@pytest.mark.parametrize("count", [1, 3, 4])
def test_the_ensembles_contract_holds_for_batches(url: str, count: int) -> None:
    """The server is ready at all: so every warm-up was answered."""
    images = np.zeros((count, 224, 224), np.uint8)
    images[0, 50:100, 50:100] = 255
    answer = _ask(url, images, np.full((count, 300, 200), 128, np.uint8))
    assert answer["DETECTED"].tolist() == [1] + [0] * (count - 1)
    assert answer["SEVERITY"].shape == (count,)
    assert answer["PROBABILITY"].shape == (count, 224, 224)
    assert answer["INFECTION_MAP"].shape == (count, 300, 200, 3)


def test_a_batch_beyond_the_largest_is_refused_and_not_answered_wrongly(url: str) -> None:
    with pytest.raises(Exception, match="batch"):
        _ask(url, np.zeros((5, 224, 224), np.uint8), np.zeros((5, 10, 10), np.uint8))
