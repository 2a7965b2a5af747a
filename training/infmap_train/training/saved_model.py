"""SavedModels of others: one signature's graph and its weights, with every operation looked at first.

A SavedModel holds more than what answers: functions that save and restore, that train, that make tables, and
files beside it. What the signature does not need is taken out before TensorFlow loads it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from infmap_kit.errors import ExportError

GRAPH = "saved_model.pb"
WEIGHTS = "variables"
SIGNATURE = "serving_default"

# They call functions that are looked at as well, and read weights.
_PLUMBING = frozenset(
    (
        *("ReadVariableOp", "DisableCopyOnRead", "NoOp", "Placeholder"),
        *("If", "StatelessIf", "While", "StatelessWhile", "PartitionedCall"),
        *("StatefulPartitionedCall",),
    )
)
# They are computed before conversion, for which tf2onnx needs no counterpart.
_FOLDED = frozenset(("BroadcastArgs", "LinSpace", "Rank"))
_GENERIC = "_generic_user_object"
_SIGNATURES = "signature_map"


def reduce_to_signature(folder: Path) -> None:
    """Rewrite a SavedModel, a copy of our own, so that it holds the signature and its weights alone.

    Raises
    ------
    ExportError
        When it is none, has no such signature, or does more than compute: naming the operation and its node.
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel()
    try:
        saved.ParseFromString((folder / GRAPH).read_bytes())
    except DecodeError as error:
        raise ExportError(f"{folder} is not a SavedModel, or is cut off") from error
    if len(saved.meta_graphs) != 1 or not saved.meta_graphs[0].HasField("object_graph_def"):
        raise ExportError(
            f"expected one graph in {folder}, as TensorFlow 2 writes it, found {len(saved.meta_graphs)} or one "
            "of TensorFlow 1: export the network again"
        )
    graph = saved.meta_graphs[0]
    if graph.asset_file_def:
        raise ExportError(f"{folder} reads files beside it: export the network again without them")
    functions = {one.signature.name: one for one in graph.graph_def.library.function}
    needed = _needed(_signature_function(graph, folder), functions, folder)
    _refuse_effects({name: functions[name] for name in needed}, folder)
    _reduce(graph, needed)
    (folder / GRAPH).write_bytes(saved.SerializeToString(deterministic=True))


def load(folder: Path) -> Any:
    """Load what :func:`reduce_to_signature` left: a callable, its shape and the shape of its answer.

    Not through Keras, whose part of a SavedModel may hold code.

    Raises
    ------
    ExportError
        When TensorFlow does not take it.
    """
    import tensorflow as tf

    try:
        loaded = tf.saved_model.load(str(folder))
    except Exception as error:
        # TensorFlow raises whatever its own code stumbled over.
        reason = str(error).strip().partition("\n")[0]
        raise ExportError(f"TensorFlow cannot load {folder}: {reason:.300}") from error
    signature = loaded.signatures[SIGNATURE]
    (_, inputs), outputs = signature.structured_input_signature, signature.structured_outputs
    if len(inputs) != 1 or len(outputs) != 1:
        raise ExportError(
            f"expected one input and one output in {folder}, found {len(inputs)} and {len(outputs)}: "
            "export the network with its pictures and its mask alone"
        )
    input_name, output_name = next(iter(inputs)), next(iter(outputs))

    def infer(normalised: Any) -> Any:
        # The signature holds its weights only as long as the loaded object lives.
        infer.loaded = loaded  # type: ignore[attr-defined]
        return signature(**{input_name: normalised})[output_name]

    return infer, tuple(inputs[input_name].shape), tuple(outputs[output_name].shape)


def _signature_function(graph: Any, folder: Path) -> str:
    """The name of the function behind the signature."""
    nodes = graph.object_graph_def.nodes
    for node in nodes:
        if node.user_object.identifier != _SIGNATURES:
            continue
        for child in node.children:
            if child.local_name == SIGNATURE and 0 <= child.node_id < len(nodes):
                name: str = nodes[child.node_id].bare_concrete_function.concrete_function_name
                if name:
                    return name
    raise ExportError(
        f"expected a signature {SIGNATURE} in {folder}, found none: export the network again with one"
    )


def _needed(first: str, functions: Mapping[str, Any], folder: Path) -> list[str]:
    """The function behind the signature, and those that it calls, through whatever others."""
    needed, waiting = list[str](), [first]
    while waiting:
        name = waiting.pop()
        if name in needed:
            continue
        if name not in functions:
            raise ExportError(f"{folder} lacks the function {name!r:.60}: export it again")
        needed.append(name)
        waiting += [
            called
            for node in functions[name].node_def
            for called in _called(node)
            if called in functions or called != node.op
        ]
    return needed


def _called(node: Any) -> Iterator[str]:
    yield node.op
    for attribute in node.attr.values():
        for called in (attribute.func, *attribute.list.func):
            if called.name:
                yield called.name


def _refuse_effects(functions: Mapping[str, Any], folder: Path) -> None:
    """Refuse an operation that does more than compute, or computes as in training."""
    from tensorflow.python.framework import op_def_registry

    allowed = _operations() | _PLUMBING | _FOLDED
    for name, function in functions.items():
        if op_def_registry.get(name) is not None:
            raise ExportError(
                f"{folder} gives {name}, an operation of TensorFlow, another meaning: export the network again"
            )
        for node in function.node_def:
            if node.op in functions:
                continue
            # An attribute that is left out has its default, which is training.
            training = "is_training" not in node.attr or node.attr["is_training"].b
            if node.op.startswith("FusedBatchNorm") and training:
                raise ExportError(
                    f"{folder} normalises as in training at {node.name!r:.80}, where an answer depends on the "
                    "other pictures: export the network for inference"
                )
            known = op_def_registry.get(node.op)
            computes = node.op in _PLUMBING or (known is not None and not known.is_stateful)
            if node.op not in allowed or not computes:
                raise ExportError(
                    f"{folder} has the operation {node.op:.60}, which does more than compute or cannot be "
                    f"converted (node {node.name!r:.80}): export the network again without it"
                )


def _operations() -> frozenset[str]:
    """The operations that tf2onnx converts; none of them knows files."""
    import tf2onnx.tfonnx  # noqa: F401  # makes the handlers known
    from tf2onnx.handler import tf_op

    return frozenset(
        name for opsets in tf_op.get_opsets().values() for known in opsets for name in known
    )


def _reduce(graph: Any, needed: list[str]) -> None:
    """Take out of a graph what the needed functions do not need."""
    library = graph.graph_def.library
    kept = [one for one in library.function if one.signature.name in needed]
    # Objects look up their constants in the graph outside the functions.
    constants = [node for node in graph.graph_def.node if node.op == "Const"]
    del library.function[:], library.gradient[:], library.registered_gradients[:]
    del graph.graph_def.node[:]
    library.function.extend(kept)
    graph.graph_def.node.extend(constants)
    for name in ("saver_def", "collection_def", "signature_def"):
        graph.ClearField(name)
    objects = graph.object_graph_def
    for name in [name for name in objects.concrete_functions if name not in needed]:
        del objects.concrete_functions[name]
    for node in objects.nodes:
        node.saveable_objects.clear()
        for name in ("registered_name", "registered_saver", "serialized_user_proto"):
            node.ClearField(name)
        kind = node.WhichOneof("kind")
        needs = kind in ("variable", "constant", "captured_tensor") or (
            kind == "bare_concrete_function"
            and node.bare_concrete_function.concrete_function_name in needed
        )
        if needs or node.user_object.identifier == _SIGNATURES:
            continue
        # An object of no class, which holds its children and does nothing.
        node.ClearField(str(kind))
        node.user_object.identifier = _GENERIC
        node.user_object.version.producer = node.user_object.version.min_consumer = 1
