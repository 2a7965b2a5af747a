"""Networks of other frameworks as ONNX: each is served with its own answers, or refused in a helpful line.

The graphs are made of the nodes that PyTorch's exporter writes, and the reference is ONNX's own evaluator of
the graph as it was exported, with pixels and answers by NumPy.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from infmap_kit.errors import ExportError, GateFailed, InfmapError
from infmap_kit.gate.comparison import compare
from infmap_kit.gate.engines import OnnxRuntimeEngine
from infmap_kit.gate.runners import ReferenceRunner
from infmap_kit.graphs.adapter import adapted
from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.model.adapter import ModelAdapter
from infmap_kit.parts.registry import INFECTION
from infmap_kit.release.export import publish
from infmap_kit.release.source import read_source, with_parts
from infmap_kit.targets.embedded import EmbeddedOptions
from small_network import small_lung_run, small_network, small_run

_SIZE = 32
_MEAN, _STD = "0.485,0.456,0.406", "0.229,0.224,0.225"


@dataclasses.dataclass
class _Graph:
    """A graph in the making, whose last tensor is ``last``."""

    channels: int = 3
    shape: tuple[str | int, ...] = ("batch", 3, _SIZE, _SIZE)
    element: int = TensorProto.FLOAT
    opset: int = 17
    last: str = "input"
    source: str = "input"

    def __post_init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._rng = np.random.default_rng(7)

    def weight(self, *shape: int) -> str:
        return self.stated(self._rng.normal(0, 0.4, shape).astype(np.float32))

    def stated(self, values: Any) -> str:
        name = f"onnx::weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def constant(self, values: Any) -> str:
        """As PyTorch writes numbers: nodes, and no initializers."""
        name = f"/Constant_{len(self.nodes)}_output_0"
        tensor = numpy_helper.from_array(np.asarray(values))
        self.nodes.append(helper.make_node("Constant", [], [name], value=tensor))
        return name

    def add(self, operator: str, *others: str, of: str | None = None, **attributes: Any) -> str:
        name = f"/{operator}_{len(self.nodes)}_output_0"
        inputs = [self.last if of is None else of, *others]
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name[:-9], **attributes))
        self.last = name
        return name

    def conv(self, inner: int, outer: int, size: int = 3) -> str:
        pads = [size // 2] * 4
        return self.add(
            "Conv", self.weight(outer, inner, size, size), self.weight(outer), pads=pads
        )

    def model(
        self,
        classes: int = 1,
        *,
        output: tuple[str | int, ...] | None = None,
        element: int = TensorProto.FLOAT,
        opset: int | None = None,
    ) -> onnx.ModelProto:
        shape = output or (self.shape[0], classes, *self.shape[2:])
        made = helper.make_graph(
            self.nodes,
            "main_graph",
            [helper.make_tensor_value_info(self.source, self.element, self.shape)],
            [helper.make_tensor_value_info(self.last, element, shape)],
            self.weights,
        )
        versions = [helper.make_opsetid("", opset or self.opset)]
        return helper.make_model(
            made, opset_imports=versions, ir_version=8, producer_name="pytorch"
        )


def _unet(channels: int = 3, classes: int = 1, **graph: Any) -> _Graph:
    """An encoder of one step, a decoder with its skip, and a head of logits."""
    shape = graph.pop("shape", ("batch", channels, _SIZE, _SIZE))
    net = _Graph(channels=channels, shape=shape, **graph)
    net.conv(channels, 4)
    skip = net.add("Relu")
    net.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    net.conv(4, 6)
    net.add("Relu")
    net.add("ConvTranspose", net.weight(6, 4, 2, 2), strides=[2, 2])
    net.add("Concat", skip, axis=1)
    net.conv(8, classes, 1)
    return net


def _normed() -> _Graph:
    """Batch norm in inference, as an export that does not fold it has it, and a leaky ReLU."""
    net = _Graph()
    net.conv(3, 4)
    net.add("BatchNormalization", *(net.stated(np.full(4, v, np.float32)) for v in (1, 0, 0.1, 2)))
    net.add("LeakyRelu", alpha=0.01)
    net.conv(4, 1, 1)
    return net


def _instance_normed() -> _Graph:
    """nnU-Net's."""
    net = _Graph(channels=1, shape=("batch", 1, _SIZE, _SIZE))
    net.conv(1, 4)
    net.add("InstanceNormalization", *(net.stated(np.full(4, v, np.float32)) for v in (1, 0.1)))
    net.add("LeakyRelu", alpha=0.01)
    net.conv(4, 2, 1)
    return net


def _resized(mode: str, transformation: str) -> _Graph:
    """`F.interpolate` by a factor, which stands in a Constant node."""
    net = _Graph()
    net.conv(3, 4)
    net.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    factors = net.constant(np.array([1, 1, 2, 2], np.float32))
    more = {"nearest_mode": "floor"} if mode == "nearest" else {}
    of = net.nodes[-2].output[0]
    net.add(
        "Resize",
        "",
        factors,
        of=of,
        mode=mode,
        coordinate_transformation_mode=transformation,
        **more,
    )
    net.conv(4, 1, 1)
    return net


def _resized_to_input() -> _Graph:
    """`F.interpolate(x, size=input.shape[2:])` of a network with open axes: sizes are computed."""
    net = _Graph(shape=("batch", 3, "height", "width"))
    net.conv(3, 4)
    low = net.add("AveragePool", kernel_shape=[2, 2], strides=[2, 2])
    wanted = net.add("Shape", of="input")
    sides = net.add(
        "Slice",
        net.stated(np.array([2])),
        net.stated(np.array([4])),
        net.stated(np.array([0])),
        of=wanted,
    )
    kept = net.add(
        "Slice", net.stated(np.array([0])), net.stated(np.array([2])), net.stated(np.array([0])),
        of=net.add("Shape", of=low),
    )  # fmt: skip
    sizes = net.add("Concat", sides, of=kept, axis=0)
    net.add(
        "Resize",
        "",
        "",
        sizes,
        of=low,
        mode="linear",
        coordinate_transformation_mode="pytorch_half_pixel",
    )
    net.conv(4, 1, 1)
    return net


def _channels_last(channels: int = 3, element: int = TensorProto.FLOAT) -> _Graph:
    net = _Graph(channels=channels, shape=("batch", _SIZE, _SIZE, channels), element=element)
    if element != TensorProto.FLOAT:
        net.add("Cast", to=TensorProto.FLOAT)
        net.add("Div", net.stated(np.float32(255)))
    net.add("Transpose", perm=[0, 3, 1, 2])
    net.conv(channels, 4)
    net.add("Relu")
    net.conv(4, 1, 1)
    net.add("Transpose", perm=[0, 2, 3, 1])
    return net


def _ending(net: _Graph, operator: str, **attributes: Any) -> _Graph:
    net.add(operator, **attributes)
    return net


def _named_as_ours() -> onnx.ModelProto:
    """Tensors with the names of the contract's in other places."""
    model = _unet().model()
    names = {"input": "probability", "/Relu_1_output_0": "IMAGE"}
    for node in model.graph.node:
        for listed in (node.input, node.output):
            listed[:] = [names.get(name, name) for name in listed]
    model.graph.input[0].name = "probability"
    return model


def _weights_among_inputs() -> onnx.ModelProto:
    model = _unet().model()
    for tensor in model.graph.initializer:
        model.graph.input.append(
            helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        )
    return model


def _pixels(
    *,
    scale: float = 1 / 255,
    mean: Any = 0.0,
    std: Any = 1.0,
    channels: int = 3,
    last: bool = False,
) -> Callable[[NDArray[np.uint8]], NDArray[Any]]:
    """What a data loader of PyTorch makes of gray pictures."""

    def prepare(pictures: NDArray[np.uint8]) -> NDArray[Any]:
        colour = np.repeat(pictures[..., np.newaxis] * np.float64(scale), channels, axis=-1)
        colour = (colour - np.array(mean)) / np.array(std)
        return np.asarray(colour if last else np.moveaxis(colour, -1, 1), np.float32)

    return prepare


def _sigmoid(values: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(1 / (1 + np.exp(-values.astype(np.float64))))


def _softmax(values: NDArray[Any], index: int) -> NDArray[Any]:
    powers = np.exp(values.astype(np.float64) - values.max(axis=1, keepdims=True))
    share: NDArray[Any] = (powers / powers.sum(axis=1, keepdims=True))[:, index]
    return share


_ONE = ModelAdapter(scale="1/255", activation="sigmoid")


def _first(values: NDArray[Any]) -> NDArray[Any]:
    return _sigmoid(values[:, 0])


_EQUIVALENT: dict[str, tuple[Callable[[], Any], ModelAdapter, Any, Any]] = {
    "colour, ImageNet's normalisation, logits": (
        lambda: _unet().model(),
        ModelAdapter(scale="1/255", mean=_MEAN, std=_STD, activation="sigmoid"),
        _pixels(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
        _first,
    ),
    "the layout is said as well": (
        lambda: _unet().model(),
        dataclasses.replace(_ONE, layout="nchw"),
        _pixels(),
        _first,
    ),
    "gray": (lambda: _unet(1).model(), _ONE, _pixels(channels=1), _first),
    "gray with one mean and deviation": (
        lambda: _unet(1).model(),
        ModelAdapter(scale="1/255", mean="0.5", std="0.25", activation="sigmoid"),
        _pixels(channels=1, mean=0.5, std=0.25),
        _first,
    ),
    "pixels of 0 to 255 less a mean": (
        lambda: _unet().model(),
        ModelAdapter(scale="1", mean="123.7,116.8,103.9", std="58.4", activation="sigmoid"),
        _pixels(scale=1, mean=(123.7, 116.8, 103.9), std=58.4),
        _first,
    ),
    "a factor with a point": (
        lambda: _unet().model(),
        ModelAdapter(scale="0.00392156862745098", activation="sigmoid"),
        _pixels(),
        _first,
    ),
    "two classes, the second by softmax": (
        lambda: _unet(classes=2).model(2),
        ModelAdapter(scale="1/255", activation="softmax:1"),
        _pixels(),
        lambda values: _softmax(values, 1),
    ),
    "two classes, the first by softmax": (
        lambda: _unet(classes=2).model(2),
        ModelAdapter(scale="1/255", activation="softmax:0"),
        _pixels(),
        lambda values: _softmax(values, 0),
    ),
    "two classes, each by itself": (
        lambda: _unet(classes=2).model(2),
        ModelAdapter(scale="1/255", activation="sigmoid:1"),
        _pixels(),
        lambda values: _sigmoid(values[:, 1]),
    ),
    "a sigmoid inside": (
        lambda: _ending(_unet(), "Sigmoid").model(),
        ModelAdapter(scale="1/255"),
        _pixels(),
        lambda values: values[:, 0],
    ),
    "a softmax inside": (
        lambda: _ending(_unet(classes=2), "Softmax", axis=1).model(2),
        ModelAdapter(scale="1/255", activation="none:1"),
        _pixels(),
        lambda values: values[:, 1],
    ),
    "no axis of classes": (
        lambda: _ending(_unet(), "Squeeze", axes=[1]).model(
            output=("batch", _SIZE, _SIZE), opset=11
        ),
        _ONE,
        _pixels(),
        _sigmoid,
    ),
    "channels last": (
        lambda: _channels_last().model(output=("batch", _SIZE, _SIZE, 1)),
        _ONE,
        _pixels(last=True),
        lambda values: _sigmoid(values[..., 0]),
    ),
    "bytes with the channels last, scaled inside": (
        lambda: _channels_last(element=TensorProto.UINT8).model(output=("batch", _SIZE, _SIZE, 1)),
        ModelAdapter(activation="sigmoid"),
        lambda pictures: np.repeat(pictures[..., np.newaxis], 3, axis=-1),
        lambda values: _sigmoid(values[..., 0]),
    ),
    "batch norm and leaky ReLU": (lambda: _normed().model(), _ONE, _pixels(), _first),
    "instance norm, two classes": (
        lambda: _instance_normed().model(2),
        ModelAdapter(scale="1/255", activation="softmax:1"),
        _pixels(channels=1),
        lambda values: _softmax(values, 1),
    ),
    "bilinear upsampling": (
        lambda: _resized("linear", "half_pixel").model(),
        _ONE,
        _pixels(),
        _first,
    ),
    "bilinear upsampling with aligned corners": (
        lambda: _resized("linear", "align_corners").model(),
        _ONE,
        _pixels(),
        _first,
    ),
    "nearest upsampling": (
        lambda: _resized("nearest", "asymmetric").model(),
        _ONE,
        _pixels(),
        _first,
    ),
    "any size, upsampled to its input": (
        lambda: _resized_to_input().model(),
        dataclasses.replace(_ONE, size=48),
        _pixels(),
        _first,
    ),
    "exported for one picture": (
        lambda: _unet(shape=(1, 3, _SIZE, _SIZE)).model(),
        _ONE,
        _pixels(),
        _first,
    ),
    "opset 11 with a softmax": (
        lambda: _unet(classes=2, opset=11).model(2),
        ModelAdapter(scale="1/255", activation="softmax:1"),
        _pixels(),
        lambda values: _softmax(values, 1),
    ),
    "opset 20": (lambda: _unet(opset=20).model(), _ONE, _pixels(), _first),
    "names of the contract elsewhere": (_named_as_ours, _ONE, _pixels(), _first),
    "weights among the inputs": (_weights_among_inputs, _ONE, _pixels(), _first),
}


@functools.cache
def _radiographs() -> list[NDArray[np.uint8]]:
    return [
        synthetic_radiograph(seed, height=128, width=128, infected=bool(seed)).radiograph.pixels
        for seed in range(3)
    ]


@pytest.mark.parametrize("case", _EQUIVALENT)
def test_the_served_graph_answers_as_the_network_that_was_exported(
    case: str, tmp_path: Path
) -> None:
    build, adapter, prepare, read = _EQUIVALENT[case]
    model, path = build(), tmp_path / "net.onnx"
    onnx.save(model, path)
    source = read_source(path, adapter=adapter)
    size = adapter.size or _SIZE
    assert source.contract.image_size == size
    assert source.identity["image_size"] == size
    assert source.identity["adapter"].get("activation", "none") == (adapter.activation or "none")
    pictures = np.stack([network_input(radiograph, size) for radiograph in _radiographs()])
    engine = OnnxRuntimeEngine(source.segmentation.SerializeToString())
    together = engine.infer(pictures)
    # One by one: the file may have been exported for one picture.
    evaluator, name = ReferenceEvaluator(model), model.graph.input[0].name
    raw: list[Any] = [
        next(iter(evaluator.run(None, {name: prepare(one[np.newaxis])}))) for one in pictures
    ]
    expected = read(np.concatenate(raw))
    assert together.shape == (3, size, size)
    assert np.ptp(expected) > 0.05
    assert np.abs(together - expected).max() < 1e-5


def _dropout() -> onnx.ModelProto:
    net = _unet()
    last = net.last
    ratio, mode = net.constant(np.float32(0.5)), net.constant(np.bool_(True))
    net.add("Dropout", ratio, mode, of=last)
    return net.model()


def _training_norm() -> onnx.ModelProto:
    net = _Graph()
    net.conv(3, 4)
    values = [net.stated(np.full(4, v, np.float32)) for v in (1, 0, 0.1, 2)]
    node = helper.make_node(
        "BatchNormalization", [net.last, *values], ["n", "m", "v"], name="/bn", training_mode=1
    )
    net.nodes.append(node)
    net.last = "n"
    net.conv(4, 1, 1)
    return net.model()


def _labels() -> onnx.ModelProto:
    net = _ending(_unet(classes=2), "ArgMax", axis=1, keepdims=0)
    return net.model(output=("batch", _SIZE, _SIZE), element=TensorProto.INT64)


def _half_size() -> onnx.ModelProto:
    net = _Graph()
    net.conv(3, 1)
    net.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    return net.model(output=("batch", 1, _SIZE // 2, _SIZE // 2))


def _classifier() -> onnx.ModelProto:
    net = _Graph()
    net.conv(3, 2)
    net.add("GlobalAveragePool")
    net.add("Flatten")
    return net.model(output=("batch", 2))


def _two_outputs() -> onnx.ModelProto:
    """Deep supervision, or a classification head beside the mask."""
    model = _unet().model()
    shape = ("batch", 4, _SIZE, _SIZE)
    model.graph.output.append(
        helper.make_tensor_value_info("/Relu_1_output_0", TensorProto.FLOAT, shape)
    )
    return model


def _halves() -> onnx.ModelProto:
    net = _Graph(element=TensorProto.FLOAT16)
    net.add("Identity")
    return net.model(3, element=TensorProto.FLOAT16)


def _own_operator() -> onnx.ModelProto:
    net = _unet()
    net.add("Sigmoid")
    net.nodes[-1].domain = "com.example"
    model = net.model()
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    return model


def _other_weights() -> onnx.ModelProto:
    model = _unet().model()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "net.onnx.data"
    return model


def _hidden_logits() -> onnx.ModelProto:
    """A scale behind the head hides that these are logits."""
    net = _unet()
    net.add("Mul", net.stated(np.float32(9)))
    return net.model()


_FED = ModelAdapter(scale="1/255")

_REFUSED: dict[str, tuple[Callable[[], Any], ModelAdapter, str]] = {
    "logits": (lambda: _unet().model(), _FED, "add --activation sigmoid"),
    "logits of two classes": (
        lambda: _unet(classes=2).model(2),
        ModelAdapter(scale="1/255", activation="none:1"),
        "add --activation softmax:1",
    ),
    "logits behind a factor": (_hidden_logits, _FED, "ends in logits, add --activation sigmoid"),
    "a second sigmoid": (
        lambda: _ending(_unet(), "Sigmoid").model(),
        _ONE,
        "ends in Sigmoid already.*leave --activation out",
    ),
    "nothing said of pixels": (
        lambda: _unet().model(),
        ModelAdapter(),
        "add --scale 1/255 or --scale 1",
    ),
    "a scale for bytes": (
        lambda: _channels_last(element=TensorProto.UINT8).model(output=("batch", _SIZE, _SIZE, 1)),
        _ONE,
        "leave --scale out",
    ),
    "two classes, and which is not said": (
        lambda: _unet(classes=2).model(2),
        _FED,
        "answers 2 classes.*softmax:1",
    ),
    "a class that is not there": (
        lambda: _unet(classes=2).model(2),
        ModelAdapter(scale="1/255", activation="softmax:5"),
        "class of 0 to 1",
    ),
    "softmax of one class": (
        lambda: _unet().model(),
        ModelAdapter(scale="1/255", activation="softmax"),
        "1 everywhere: use --activation sigmoid",
    ),
    "four channels": (lambda: _unet(4).model(), _ONE, "1 or 3 channels"),
    "two means": (
        lambda: _unet().model(),
        ModelAdapter(scale="1/255", mean="0.5,0.5", activation="sigmoid"),
        "--mean with 1 number or 3",
    ),
    "the other layout": (
        lambda: _unet().model(),
        dataclasses.replace(_ONE, layout="nhwc"),
        "expected --layout nchw",
    ),
    "oblong pictures": (
        lambda: _unet(shape=("batch", 3, _SIZE, 2 * _SIZE)).model(),
        _ONE,
        "expected square pictures",
    ),
    "another size": (
        lambda: _unet().model(),
        dataclasses.replace(_ONE, size=48),
        f"expected --size {_SIZE}",
    ),
    "any size, and which is not said": (lambda: _resized_to_input().model(), _ONE, "with --size"),
    "a batch of four": (
        lambda: _unet(shape=(4, 3, _SIZE, _SIZE)).model(),
        _ONE,
        "always 4: export it with an open first dimension",
    ),
    "a map of half the size": (_half_size, _ONE, "16x16.*upsampling"),
    "labels": (_labels, _ONE, "int64.*before its argmax"),
    "a classifier": (_classifier, _ONE, "no segmentation network"),
    "two outputs": (_two_outputs, _ONE, "expected one output, found 2.*mask alone"),
    "half precision": (_halves, _ONE, "float32 of shape.*found float16"),
    "dropout in training": (_dropout, _ONE, "as in training.*export the network for inference"),
    "batch norm in training": (
        _training_norm,
        _ONE,
        "as in training.*export the network for inference",
    ),
    "an operator of its own": (_own_operator, _FED, "standard ONNX operators"),
    "weights in another file": (_other_weights, _ONE, "store it inside the graph"),
}


@pytest.mark.parametrize("case", _REFUSED)
def test_what_cannot_be_served_is_refused_in_one_line_that_helps(case: str, tmp_path: Path) -> None:
    build, adapter, wanted = _REFUSED[case]
    path = tmp_path / "net.onnx"
    onnx.save(build(), path)
    with pytest.raises(InfmapError, match=wanted) as caught:
        read_source(path, adapter=adapter)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 400


def _mixing() -> onnx.ModelProto:
    """Normalises by the mean of all pictures of a request."""
    net = _unet()
    logits = net.last
    mean = net.add("ReduceMean", axes=[0], keepdims=1)
    net.add("Sub", mean, of=logits)
    net.add("Mul", net.stated(np.float32(3)))
    bright = net.add("ReduceMean", axes=[1, 2, 3], keepdims=1, of="input")
    net.add("Add", bright, of=net.nodes[-2].output[0])
    return net.model()


def _baked() -> onnx.ModelProto:
    """`x.view(1, ...)`, as an export for one picture has it."""
    net = _unet(shape=(1, 3, _SIZE, _SIZE))
    net.add("Reshape", net.stated(np.array([1, 1, _SIZE, _SIZE])))
    return net.model()


@pytest.mark.parametrize(
    ("build", "wanted"), [(_baked, "make its first dimension open"), (_mixing, "requests of 2")]
)
def test_a_graph_for_one_picture_or_that_mixes_them_is_not_published(
    build: Callable[[], onnx.ModelProto], wanted: str, tmp_path: Path
) -> None:
    onnx.save(build(), tmp_path / "net.onnx")
    source = read_source(tmp_path / "net.onnx", adapter=_ONE)
    with pytest.raises(GateFailed, match=wanted) as caught:
        publish(
            source,
            tmp_path / "repository",
            EmbeddedOptions(threads=1),
            pictures=[(f"{n}", network_input(r, _SIZE)) for n, r in enumerate(_radiographs())],
        )
    assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / "repository").exists()


def test_a_run_folder_and_a_graph_of_the_contract_need_no_adapter(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="is a run folder.*leave"):
        read_source(small_run(tmp_path / "run"), adapter=_ONE)
    onnx.save(small_network(), tmp_path / "net.onnx")
    assert "adapter" not in read_source(tmp_path / "net.onnx").identity
    with pytest.raises(ExportError, match="leave --scale out"):
        read_source(tmp_path / "net.onnx", adapter=_FED)
    with pytest.raises(ExportError, match="ends in Sigmoid already"):
        read_source(tmp_path / "net.onnx", adapter=ModelAdapter(activation="sigmoid"))


def test_lungs_of_the_papers_size_are_not_served_beside_a_network_of_another(
    tmp_path: Path,
) -> None:
    onnx.save(_unet().model(), tmp_path / "net.onnx")
    source = read_source(tmp_path / "net.onnx", adapter=_ONE)
    with pytest.raises(ExportError, match="224x224.*found one of 32x32: leave --lungs out"):
        with_parts(source, {"lungs": small_lung_run(tmp_path / "lungs")})


def test_the_gate_takes_no_values_beyond_probabilities_from_its_reference() -> None:
    """The one picture that an export tries may not show logits; each picture of the gate is looked at."""
    graph, _ = adapted(_hidden_logits(), _FED)
    segmentation = INFECTION.prepare(graph, _SIZE).SerializeToString()
    runner = ReferenceRunner(OnnxRuntimeEngine(segmentation))
    picture = network_input(_radiographs()[1], _SIZE)
    with pytest.raises(ExportError, match="found values from -.*add --activation sigmoid"):
        compare(runner, runner, [("one", picture)])
