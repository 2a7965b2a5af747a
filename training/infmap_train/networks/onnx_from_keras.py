"""A Keras network as the ONNX graph that every engine is made from."""

from __future__ import annotations

import copy
import inspect
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tensorflow as tf

from infmap_kit.errors import ExportError
from infmap_kit.graphs.preparation import rewrite_resizes
from infmap_kit.model.spec import IMAGE_SIZE, Encoder
from infmap_train.networks.gradcam import explain
from infmap_train.networks.normalisation import normalise

OPSET = 18
INPUT = "IMAGE"
OUTPUT = "PROBABILITY"
CLASSIFIER_PROBABILITY = "CLASSIFIER_PROBABILITY"
ACTIVATION_MAP = "ACTIVATION_MAP"

# ONNX Runtime and Keras agree within 1e-4 for every network whose batch norms have settled; in an
# untrained ResNet-50 activations grow to thousands, and Keras differs from itself by 3e-4. A wrong
# graph is wrong by much more than this.
_TOLERANCE = 1e-2


def onnx_from_keras(
    model: Any,
    encoder: Encoder | None,
    path: Path,
    *,
    image_size: int = IMAGE_SIZE,
    channels: int = 3,
) -> None:
    """Convert a network, with its normalisation inside, and compare the two on one picture.

    The graph takes ``IMAGE`` (N, H, H) uint8 and gives ``PROBABILITY`` (N, H, H) float32. Without an encoder it
    takes what the network takes, (N, H, H, C) float32; what has several classes gives (N, H, H, K).

    Parameters
    ----------
    model
        Callable from (N, H, H, C) float32 to (N, H, H, K).
    encoder
        The encoder, whose normalisation the network was trained with; ``None`` puts nothing inside.
    path
        File to write.
    image_size
        H, in pixels.
    channels
        C, which is 3 for an encoder.

    Raises
    ------
    ExportError
        When a layer cannot be converted, or the graph does not compute the network's answers.
    """
    if encoder is None:
        picture = tf.TensorSpec((None, image_size, image_size, channels), tf.float32, name=INPUT)
    else:
        picture = _gray(image_size)

    def infer(image: Any) -> Any:
        # The signature of a SavedModel knows no training.
        mode = {} if inspect.isfunction(model) else {"training": False}
        answer = model(image if encoder is None else normalise(image, encoder), **mode)
        return {OUTPUT: tf.cast(answer[..., 0] if answer.shape[-1] == 1 else answer, tf.float32)}

    _convert(infer, [OUTPUT], path, picture)


def onnx_from_classifier(model: Any, encoder: Encoder, path: Path) -> None:
    """Convert a classifier, with its normalisation inside, and compare the two on one picture.

    The graph takes ``IMAGE`` (N, 224, 224) uint8 and gives ``CLASSIFIER_PROBABILITY`` (N,) and
    ``ACTIVATION_MAP`` (N, 224, 224), both float32 in [0, 1], the latter relative to its peak.
    Parameters and errors as of ``onnx_from_keras``, with a model of ``build_classifier``.
    """

    def infer(image: Any) -> Any:
        probability, activation = explain(model, image, encoder)
        return {CLASSIFIER_PROBABILITY: probability, ACTIVATION_MAP: activation}

    _convert(infer, [CLASSIFIER_PROBABILITY, ACTIVATION_MAP], path, _gray(IMAGE_SIZE))


def _gray(image_size: int) -> Any:
    """Pictures as the contract has them."""
    return tf.TensorSpec((None, image_size, image_size), tf.uint8, name=INPUT)


def _convert(
    infer: Callable[[Any], dict[str, Any]], outputs: list[str], path: Path, picture: Any
) -> None:
    import tf2onnx  # slow, and sets up logging of its own

    for name in ("tf2onnx", "tensorflow"):
        logging.getLogger(name).setLevel(logging.ERROR)

    # Else tf2onnx keeps a copy of the whole graph before every pass of its optimiser, to go back to should
    # one fail: 12 GB for a ResNet-50, 6 GB without. A pass that fails is an error of ours then.
    os.environ.setdefault("TF2ONNX_CATCH_ERRORS", "FALSE")

    signature = [picture]
    traced = tf.function(infer, input_signature=signature)
    try:
        answers = traced.get_concrete_function().structured_outputs
        graph, _ = tf2onnx.convert.from_function(traced, input_signature=signature, opset=OPSET)
    except Exception as error:
        # A handler or a pass of tf2onnx raises whatever its own code stumbled over.
        reason = str(error).strip().partition("\n")[0]
        raise ExportError(f"tf2onnx cannot convert the network: {reason:.300}") from error
    shapes = {INPUT: picture.shape, **{name: answers[name].shape for name in outputs}}
    _name_batch(graph, shapes)
    # tf2onnx writes what ONNX gave up at opset 13 and TensorRT refuses; the same bits otherwise.
    rewrite_resizes(graph)
    graph.producer_name = "infmap-train"
    onnx.checker.check_model(graph, full_check=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(graph, path)
    _compare(traced, outputs, path, picture)


def _name_batch(graph: onnx.ModelProto, shapes: Mapping[str, Any]) -> None:
    """Give tensors their names and shapes, the input first, and the batch dimension ``N``."""
    outputs = [name for name in shapes if name != INPUT]
    tensors = {tensor.name: tensor for tensor in (*graph.graph.input, *graph.graph.output)}
    if sorted(tensors) != sorted([INPUT, *outputs]):
        raise ExportError(
            f"expected one input {INPUT} and outputs {outputs}, found {list(tensors)}"
        )
    ordered = [copy.deepcopy(tensors[name]) for name in outputs]
    del graph.graph.output[:]
    graph.graph.output.extend(ordered)
    for tensor in (*graph.graph.input, *graph.graph.output):
        batch, *size = tensor.type.tensor_type.shape.dim
        batch.dim_param = "N"
        for length, stated in zip(size, list(shapes[tensor.name])[1:], strict=True):
            length.dim_value = stated or shapes[INPUT][1]
    # Shapes of inner tensors have tf2onnx's own names of the batch; every engine infers them anew.
    del graph.graph.value_info[:]


def _compare(function: Any, outputs: list[str], path: Path, signature: Any) -> None:
    import onnxruntime  # only here

    shape, rng = (1, *signature.shape[1:]), np.random.default_rng(0)
    if signature.dtype == tf.uint8:
        picture: Any = rng.integers(0, 256, shape, np.uint8)
    else:
        picture = rng.random(shape, np.float32)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    answers = dict(zip(outputs, session.run(outputs, {INPUT: picture}), strict=True))
    expected = function(picture)
    for name, answer in answers.items():
        difference = float(np.abs(answer - expected[name].numpy()).max())
        # Written so that NaN fails too.
        if not difference <= _TOLERANCE:
            path.unlink()
            raise ExportError(
                f"the ONNX graph differs from the network by {difference:.1e} in {name}, "
                f"expected at most {_TOLERANCE:.0e}"
            )
