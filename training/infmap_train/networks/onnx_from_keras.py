"""A Keras network as the ONNX graph that every engine is made from."""

from __future__ import annotations

import copy
import logging
import os
from collections.abc import Callable
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


def onnx_from_keras(model: Any, encoder: Encoder, path: Path) -> None:
    """Convert a network, with its normalisation inside, and compare the two on one picture.

    The graph takes ``IMAGE`` (N, 224, 224) uint8 and gives ``PROBABILITY`` (N, 224, 224) float32.

    Parameters
    ----------
    model
        Callable from (N, 224, 224, 3) float32 to (N, 224, 224, 1).
    encoder
        The encoder, whose normalisation the network was trained with.
    path
        File to write.

    Raises
    ------
    ExportError
        When a layer cannot be converted, or the graph does not compute the network's answers.
    """

    def infer(image: Any) -> Any:
        # The signature of a SavedModel knows no training.
        mode = {"training": False} if isinstance(model, tf.keras.Model) else {}
        probability = model(normalise(image, encoder), **mode)
        return {OUTPUT: tf.cast(probability[..., 0], tf.float32)}

    _convert(infer, [OUTPUT], path)


def onnx_from_classifier(model: Any, encoder: Encoder, path: Path) -> None:
    """Convert a classifier, with its normalisation inside, and compare the two on one picture.

    The graph takes ``IMAGE`` (N, 224, 224) uint8 and gives ``CLASSIFIER_PROBABILITY`` (N,) and
    ``ACTIVATION_MAP`` (N, 224, 224), both float32 in [0, 1], the latter relative to its peak.
    Parameters and errors as of ``onnx_from_keras``, with a model of ``build_classifier``.
    """

    def infer(image: Any) -> Any:
        probability, activation = explain(model, image, encoder)
        return {CLASSIFIER_PROBABILITY: probability, ACTIVATION_MAP: activation}

    _convert(infer, [CLASSIFIER_PROBABILITY, ACTIVATION_MAP], path)


def _convert(infer: Callable[[Any], dict[str, Any]], outputs: list[str], path: Path) -> None:
    import tf2onnx  # slow, and sets up logging of its own

    for name in ("tf2onnx", "tensorflow"):
        logging.getLogger(name).setLevel(logging.ERROR)

    # Else tf2onnx keeps a copy of the whole graph before every pass of its optimiser, to go back to should
    # one fail: 12 GB for a ResNet-50, 6 GB without. A pass that fails is an error of ours then.
    os.environ.setdefault("TF2ONNX_CATCH_ERRORS", "FALSE")

    signature = [tf.TensorSpec((None, IMAGE_SIZE, IMAGE_SIZE), tf.uint8, name=INPUT)]
    function = tf.function(infer, input_signature=signature)
    try:
        graph, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=OPSET)
    except Exception as error:
        # A handler or a pass of tf2onnx raises whatever its own code stumbled over.
        reason = str(error).partition("\n")[0]
        raise ExportError(f"tf2onnx cannot convert the network: {reason}") from error
    _name_batch(graph, outputs)
    # tf2onnx writes what ONNX gave up at opset 13 and TensorRT refuses; the same bits otherwise.
    rewrite_resizes(graph)
    graph.producer_name = "infmap-train"
    onnx.checker.check_model(graph, full_check=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(graph, path)
    _compare(function, outputs, path)


def _name_batch(graph: onnx.ModelProto, outputs: list[str]) -> None:
    """Give tensors their names, in this order, and the batch dimension ``N``."""
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
        for length in size:
            length.dim_value = IMAGE_SIZE
    # Shapes of inner tensors have tf2onnx's own names of the batch; every engine infers them anew.
    del graph.graph.value_info[:]


def _compare(function: Any, outputs: list[str], path: Path) -> None:
    import onnxruntime  # only here

    picture = np.random.default_rng(0).integers(0, 256, (1, IMAGE_SIZE, IMAGE_SIZE), np.uint8)
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
