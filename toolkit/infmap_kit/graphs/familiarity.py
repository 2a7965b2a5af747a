"""The familiarity of a picture: the distance of its features from those of the training pictures.

The features of a picture are the means over one of the encoder's tensors, a number a channel. Training fits a
Gaussian to those of its pictures (Lee et al., A Simple Unified Framework for Detecting Out-of-Distribution
Samples, NeurIPS 2018, with one class): exact along the directions in which they vary most, and with a single
variance for all others (Tipping and Bishop, Probabilistic Principal Component Analysis, JRSS B 1999). What is
served is the Mahalanobis distance, on a scale on which 0 is the threshold and 1 the centre.

The small graph behind the network always computes in FP32, whatever the network does.
"""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import onnx
import onnx.parser
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from infmap_kit.errors import ExportError
from infmap_kit.graphs.preparation import read_graph
from infmap_kit.model.run_folder import FAMILIARITY, FAMILIARITY_GRAPH, RunFolder
from infmap_kit.model.tensors import FEATURES, IR_VERSION, OPSET

_TEXT = """
<ir_version: {ir_version}, opset_import: ["" : {opset}]>
familiarity (float[N, {features}] features) => (float[N] FAMILIARITY)
<int64[1] channels = {{1}}, float one = {{1.0}}>
{{
    centred = Sub (features, mean)
    along = MatMul (centred, directions)
    beyond_all = MatMul (along, back)
    beyond = Sub (centred, beyond_all)
    whitened = Mul (along, whitening)
    evenly = Mul (beyond, beyond_whitening)
    along_squares = Mul (whitened, whitened)
    beyond_squares = Mul (evenly, evenly)
    along_sum = ReduceSum <keepdims = 0> (along_squares, channels)
    beyond_sum = ReduceSum <keepdims = 0> (beyond_squares, channels)
    square = Add (along_sum, beyond_sum)
    distance = Sqrt (square)
    FAMILIARITY = Sub (one, distance)
}}
"""


ROUNDING = 0.02
"""Standard deviation along each direction that rounding may cause, relative to the features' quadratic mean."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gaussian:
    """The distribution of the features of a network's training pictures.

    Parameters
    ----------
    mean
        (C,) of the features.
    directions
        (C, K), orthonormal: along these they vary most.
    variances
        (K,) along the directions.
    rest
        Variance along each other direction.
    """

    mean: NDArray[np.float64]
    directions: NDArray[np.float64]
    variances: NDArray[np.float64]
    rest: float

    @classmethod
    def fit(
        cls, features: NDArray[np.floating], directions: int, *, rounding: float = ROUNDING
    ) -> Gaussian:
        """Fit features, (N, C), by so many directions, less than N and C.

        ``rounding``, relative to their root mean square, is the standard deviation that is added along each
        direction: features that hardly vary would be those by which an engine is told that rounds.
        """
        exact = features.astype(np.float64)
        mean = exact.mean(axis=0)
        _, values, rows = np.linalg.svd(exact - mean, full_matrices=False)
        variances = values**2 / (len(exact) - 1)
        others = exact.shape[1] - directions
        added = rounding**2 * float((exact**2).mean())
        return cls(
            mean=mean,
            directions=rows[:directions].T,
            variances=variances[:directions] + added,
            rest=float(variances[directions:].sum() / others) + added,
        )

    def distance(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Mahalanobis distance of features, (N, C), from the mean: (N,)."""
        centred = features.astype(np.float64) - self.mean
        along = centred @ self.directions
        beyond = centred - along @ self.directions.T
        squares = (along**2 / self.variances).sum(axis=1) + (beyond**2).sum(axis=1) / self.rest
        return np.asarray(np.sqrt(squares))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fitted:
    """The familiarity of a run.

    Parameters
    ----------
    graph
        From features to FAMILIARITY, as training wrote it.
    sha256
        SHA-256 of its file.
    tensor
        The tensor of the network that the features are the means of.
    """

    graph: onnx.ModelProto
    sha256: str
    tensor: str


def familiarity_graph(gaussian: Gaussian, threshold: float) -> onnx.ModelProto:
    """Build the graph from ``features`` (N, C) to FAMILIARITY (N,), float32: ``1 - distance / threshold``."""
    model = onnx.parser.parse_model(
        _TEXT.format(ir_version=IR_VERSION, opset=OPSET, features=len(gaussian.mean))
    )
    constants = {
        "mean": gaussian.mean,
        "directions": gaussian.directions,
        "back": gaussian.directions.T,
        "whitening": 1 / (threshold * np.sqrt(gaussian.variances)),
        "beyond_whitening": np.array(1 / (threshold * np.sqrt(gaussian.rest))),
    }
    model.graph.initializer.extend(
        numpy_helper.from_array(np.ascontiguousarray(values, np.float32), name)
        for name, values in constants.items()
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def deepest_features(model: onnx.ModelProto) -> str:
    """Name of the encoder's last tensor: of those that are brought to a larger size, the smallest.

    Raises
    ------
    ExportError
        When the graph brings nothing to a larger size.
    """
    graph = onnx.shape_inference.infer_shapes(model).graph
    sizes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.value_info, *graph.input)
    }
    makers = {name: node for node in graph.node for name in node.output}
    read = [node.input[0] for node in graph.node if node.op_type in ("Resize", "ConvTranspose")]
    enlarged = [(sizes[name][-1], name) for name in read if len(sizes.get(name, ())) == 4]
    if not enlarged:
        raise ExportError(
            "expected a network that enlarges what its encoder gives, found no Resize or ConvTranspose of it"
        )
    _, name = min(enlarged, key=lambda one: one[0])
    return name if name in makers else enlarged[0][1]


def with_features(model: onnx.ModelProto, tensor: str) -> onnx.ModelProto:
    """A network's graph that gives its features, too: the means over a tensor of (N, C, H, W).

    Raises
    ------
    ExportError
        When it has no such tensor.
    """
    shown = copy.deepcopy(model)
    graph = shown.graph
    inferred = onnx.shape_inference.infer_shapes(shown).graph
    shapes = {value.name: value.type.tensor_type.shape.dim for value in inferred.value_info}
    if len(shapes.get(tensor, ())) != 4 or not shapes[tensor][1].dim_value:
        raise ExportError(
            f"expected a tensor {tensor!r} of (N, C, H, W) in the network, whose means are its features: fit "
            "its familiarity again"
        )
    graph.initializer.append(numpy_helper.from_array(np.array([2, 3]), "features_plane"))
    graph.node.append(
        helper.make_node(
            "ReduceMean",
            [tensor, "features_plane"],
            [FEATURES.name],
            name=FEATURES.name,
            keepdims=0,
        )
    )
    channels = shapes[tensor][1].dim_value
    graph.output.append(
        helper.make_tensor_value_info(FEATURES.name, TensorProto.FLOAT, ["N", channels])
    )
    onnx.checker.check_model(shown)
    return shown


def read_familiarity(run: RunFolder) -> Fitted | None:
    """The familiarity of a run; ``None`` when none was fitted.

    Raises
    ------
    ExportError
        When it is another run's, or was altered.
    """
    document = run.fitted(FAMILIARITY, FAMILIARITY_GRAPH)
    if document is None:
        return None
    return Fitted(
        graph=read_graph(run.path / FAMILIARITY_GRAPH),
        sha256=run.sha256(FAMILIARITY_GRAPH),
        tensor=str(document.get("tensor")),
    )
