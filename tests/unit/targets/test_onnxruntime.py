"""What Triton's ONNX Runtime backend asks of a repository, by its public sources.

The backend (onnxruntime.cc, onnxruntime_utils.cc) is not here. What it compares when it loads a model is
compared here, with ONNX Runtime itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import onnx
import pytest
from tritonclient.grpc import model_config_pb2 as pb

from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.model.precision import Precision
from infmap_kit.release.export import publish
from infmap_kit.release.source import read_source
from infmap_kit.targets.onnxruntime import OnnxruntimeOptions
from infmap_kit.tensorrt.gpus import recommended_image
from infmap_kit.triton.config import parse_config
from small_network import small_network

ONNXRUNTIME = pytest.importorskip("onnxruntime")

TYPES = {
    "tensor(uint8)": pb.TYPE_UINT8,
    "tensor(float)": pb.TYPE_FP32,
    "tensor(float16)": pb.TYPE_FP16,
}
TENSORRT_PARAMETERS = {
    *("trt_engine_cache_enable", "trt_engine_cache_path"),
    *("trt_profile_min_shapes", "trt_profile_opt_shapes", "trt_profile_max_shapes"),
}
"""Those of the backend's keys that we use; one that it does not know ends the load."""


def refusals(config: pb.ModelConfig, model: Path) -> Iterator[str]:
    """Why the backend would not load a model; nothing when it would."""
    session = ONNXRUNTIME.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    for ours, theirs in (
        (config.input, session.get_inputs()),
        (config.output, session.get_outputs()),
    ):
        of_model = {tensor.name: tensor for tensor in theirs}
        if {tensor.name for tensor in ours} != set(of_model):
            yield f"names: {[tensor.name for tensor in ours]} and {list(of_model)}"
            continue
        for tensor in ours:
            found = of_model[tensor.name]
            if TYPES.get(found.type) != tensor.data_type:
                yield f"{tensor.name} is {found.type}"
            shape = [dim if isinstance(dim, int) else -1 for dim in found.shape]
            yield from _shape_refusal(tensor.name, shape, list(tensor.dims), config.max_batch_size)
    for accelerator in config.optimization.execution_accelerators.gpu_execution_accelerator:
        if accelerator.name not in ("tensorrt", "cuda"):
            yield f"unknown accelerator {accelerator.name}"
        if unknown := set(accelerator.parameters) - TENSORRT_PARAMETERS:
            yield f"unknown parameters {unknown}"
        # The backend writes its own over this one of an accelerator; of the model it counts.
        if "cudnn_conv_algo_search" in accelerator.parameters:
            yield "cudnn_conv_algo_search is overwritten"


def _shape_refusal(
    name: str, model: Sequence[int], dims: Sequence[int], max_batch_size: int
) -> Iterator[str]:
    """The backend's CompareDimsSupported: a batch must be open, and what is fixed must be the same."""
    if max_batch_size:
        if not model or model[0] != -1:
            yield f"{name}: the first dimension must be -1, found {model}"
            return
        dims = [-1, *dims]
    fits = len(model) == len(dims)
    if not fits or any(fixed not in (-1, dim) for fixed, dim in zip(model, dims, strict=True)):
        yield f"{name}: {model} and {dims}"


OPTIONS = {
    "gpu-fp32": OnnxruntimeOptions(precision=Precision.FP32, batches=(1, 4)),
    "gpu-fp16": OnnxruntimeOptions(precision=Precision.FP16, batches=(1, 4)),
    "accelerated": OnnxruntimeOptions(precision=Precision.FP16, batches=(1, 4), accelerator=True),
    "cpu": OnnxruntimeOptions(precision=Precision.FP32, batches=(1, 4), gpu=False),
}


@pytest.fixture(scope="module", params=OPTIONS)
def published(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp(request.param)
    onnx.save(small_network(), folder / "small.onnx")
    publish(
        read_source(folder / "small.onnx"),
        folder / "repository",
        OPTIONS[request.param],
        pictures=synthetic_pictures()[:1],
    )
    return request.param, folder / "repository"


def _config(repository: Path, name: str) -> pb.ModelConfig:
    return parse_config((repository / name / "config.pbtxt").read_text())


def test_every_model_is_what_its_config_says(published: tuple[str, Path]) -> None:
    _, repository = published
    for name in ("segmentation", "detection", "rendering"):
        config = _config(repository, name)
        model = repository / name / "1" / config.default_model_filename
        assert list(refusals(config, model)) == []


def test_threads_and_searches_are_what_the_backend_reads(published: tuple[str, Path]) -> None:
    case, repository = published
    for name in ("segmentation", "detection", "rendering"):
        parameters = {
            key: value.string_value for key, value in _config(repository, name).parameters.items()
        }
        small = name != "segmentation"
        # One thread for the small graphs took a third off the latency on a CPU; more of it slows the network.
        assert parameters.get("intra_op_thread_count") == ("1" if case == "cpu" and small else None)
        # 0, which is also what it does by itself, tries every algorithm at the first request of each size.
        searched = "1" if case != "cpu" and not small else None
        assert parameters.get("cudnn_conv_algo_search") == searched


def test_a_constant_batch_would_be_refused(published: tuple[str, Path], tmp_path: Path) -> None:
    """So that the comparison is one: the same model, its batch fixed to what a picture alone has."""
    _, repository = published
    config = _config(repository, "segmentation")
    model = onnx.load(repository / "segmentation" / "1" / "model.onnx")
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(model, tmp_path / "fixed.onnx")
    assert any("first dimension" in text for text in refusals(config, tmp_path / "fixed.onnx"))
    config.input[0].data_type = pb.TYPE_FP32
    found = list(refusals(config, repository / "segmentation" / "1" / "model.onnx"))
    assert found == ["IMAGE is tensor(uint8)"]


def test_the_recommended_images_onnx_runtime_takes_its_tensorrt() -> None:
    """`--accelerator` hands networks to TensorRT 11, which only ONNX Runtime 1.27 and later know."""
    image = recommended_image()
    assert int(image.tensorrt.partition(".")[0]) >= 11
    assert tuple(map(int, image.onnxruntime.split("."))) >= (1, 27)
