"""Convert a trained network to ONNX: ``python -m infmap_train.training.convert SOURCE TARGET``.

The toolkit calls this in a process of its own, so that it never loads TensorFlow. One JSON line on
stdout says what was made; an error is one line on stderr and exit code 1. Nothing that a source
file carries is executed. What a file is, its first bytes say; its network is built from the description that
was checked, and only weights are loaded from the file. Of a SavedModel every operation is looked at first.
"""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from typing import Annotated, Any

import typer

from infmap_kit import command
from infmap_kit.errors import ExportError, SpecError
from infmap_kit.model.files import sha256_of
from infmap_kit.model.run_folder import SPEC
from infmap_kit.model.spec import IMAGE_SIZE, ClassifierSpec, Encoder, ModelSpec, member
from infmap_train.networks.quiet import import_tensorflow, silenced

_PICKLES = (".pkl", ".pickle", ".joblib", ".pt", ".pth", ".npy")

# The operations that Keras layers record as such when a model was written with plain arithmetic.
_HARMLESS_OPERATIONS = (
    "__operators__.",
    "cast",
    "clip_by_value",
    "concat",
    "expand_dims",
    "image.resize",
    "math.",
    "nn.",
    "reshape",
    "squeeze",
    "transpose",
)

_HDF5, _ZIP = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04"
_SIGNATURES = {".keras": _ZIP, ".h5": _HDF5, ".hdf5": _HDF5}

# Where Keras may look for what a description names; elsewhere are functions that read, write and fetch.
_MODULES = (
    "activations",
    "constraints",
    "engine",
    "initializers",
    "layers",
    "models",
    "regularizers",
)
_ACTIVATIONS = (
    *(
        "elu",
        "exponential",
        "gelu",
        "hard_sigmoid",
        "leaky_relu",
        "linear",
        "mish",
        "relu",
        "relu6",
    ),
    *("selu", "sigmoid", "silu", "softmax", "softplus", "softsign", "swish", "tanh"),
)

# Operations with a state or an effect that a SavedModel needs to hold its weights and call its functions.
_HARMLESS_STATE = (
    *("VarHandleOp", "ReadVariableOp", "AssignVariableOp", "VarIsInitializedOp"),
    *("DisableCopyOnRead", "NoOp", "Placeholder", "If", "StatelessIf", "While", "StatelessWhile"),
    *("PartitionedCall", "StatefulPartitionedCall"),
)
# They write and read weights; only the functions that TensorFlow itself calls for that may hold them.
_SAVING = ("SaveV2", "RestoreV2", "MergeV2Checkpoints", "ShardedFilename")
_FILES = ("ReadFile", "MatchingFiles", "WholeFileReader", "WholeFileReaderV2", "StringFormat")

app = typer.Typer(add_completion=False)


@app.command()
def convert(
    source: Annotated[
        Path, typer.Argument(help="A run folder, a .keras or .h5 file, or a SavedModel folder.")
    ],
    target: Annotated[Path, typer.Argument(help="The ONNX file to write.")],
    encoder: Annotated[
        str | None,
        typer.Option(
            help="Encoder whose normalisation the network needs, where no spec.json names it."
        ),
    ] = None,
) -> None:
    """Write SOURCE as an ONNX graph: gray uint8 IMAGE in, PROBABILITY out.

    Example: python -m infmap_train.training.convert model.keras model.onnx --encoder densenet121
    """
    asked = member(Encoder, encoder) if encoder else None
    refuse_code(source)
    import_tensorflow()
    with silenced():
        from infmap_train.networks.onnx_from_keras import onnx_from_keras

        model, known = load(source, asked)
        onnx_from_keras(model, known, target)
    sys.stdout.write(
        json.dumps({"onnx": str(target), "sha256": sha256_of(target), "encoder": str(known)}) + "\n"
    )


def refuse_code(source: Path) -> None:
    """Refuse a source that is of no known kind, or that would run code when loaded.

    Raises
    ------
    ExportError
        Naming the source, and the kinds of sources that are taken.
    """
    if not source.exists():
        raise ExportError(f"{source} does not exist")
    if source.is_dir():
        if not any((source / name).is_file() for name in (SPEC, "saved_model.pb")):
            raise ExportError(
                f"{source} is neither a run folder (spec.json) nor a SavedModel (saved_model.pb)"
            )
        if not (source / "spec.json").is_file():
            _refuse_effects(source)
        return
    suffix = source.suffix.lower()
    if suffix in _PICKLES:
        raise ExportError(
            f"{source} is a pickle or may hold one, and loading it would run what is in it: pass a "
            "run folder, a .keras or .h5 file, or a SavedModel folder"
        )
    if suffix not in (".keras", ".h5", ".hdf5"):
        raise ExportError(
            f"expected a run folder, a .keras or .h5 file, or a SavedModel folder, found {source}"
        )
    _refuse_disguise(source)
    _refuse_code_in(_architecture(source), source)


def _refuse_disguise(source: Path) -> None:
    """Refuse a file that is another kind than its name says, or two kinds at once.

    A zip is found by its end: an HDF5 file with a zip behind it would be checked as the one and loaded as the
    other.
    """
    with source.open("rb") as file:
        begins = file.read(len(_HDF5))
    expected = _SIGNATURES[source.suffix.lower()]
    if not begins.startswith(expected):
        kind = "a zip archive" if expected == _ZIP else "an HDF5 file"
        raise ExportError(
            f"{source} is not a Keras file: expected {kind}, as {source.suffix} files are, found one that "
            f"begins with {begins[:4]!r}"
        )
    if expected == _HDF5 and zipfile.is_zipfile(source):
        raise ExportError(
            f"{source} is an HDF5 file and a zip archive at once, made to be read in two ways: save the model "
            "again"
        )


def load(source: Path, encoder: Encoder | None) -> tuple[Any, Encoder]:
    """Load a source that ``refuse_code`` let pass.

    Returns
    -------
    tuple
        A callable from (N, 224, 224, 3) to (N, 224, 224, 1), and its encoder.

    Raises
    ------
    ExportError
        When it cannot be loaded, has other shapes, or its encoder is not known.
    SpecError
        When a run folder is damaged.
    """
    from infmap_train import run_folder

    beside = (source if source.is_dir() else source.parent) / SPEC
    spec = ModelSpec.read(beside) if beside.is_file() else None
    if spec and encoder and spec.network.encoder is not encoder:
        raise ExportError(
            f"{beside} says the encoder is {spec.network.encoder}, asked for was {encoder}: leave "
            "--encoder out"
        )
    if spec and isinstance(spec.network, ClassifierSpec):
        raise ExportError(
            f"{beside} is of a classifier, whose graph `infmap-train classify` writes: this command "
            "converts segmentation networks"
        )
    if source.is_dir() and spec:
        return run_folder.load_network(source)[0], spec.network.encoder
    known = encoder or (spec.network.encoder if spec else None)
    if known is None:
        raise ExportError(
            f"{source} does not say which encoder it has, and each wants its own normalisation: "
            f"pass --encoder, one of {', '.join(Encoder)}"
        )
    if source.is_dir():
        return _load_saved_model(source), known
    if _architecture(source) is None:
        return _load_weights(source, spec), known
    return _load_model(source), known


def _architecture(source: Path) -> dict[str, Any] | None:
    """Read the layers' description in a Keras file; ``None`` when it holds weights alone."""
    try:
        if _SIGNATURES[source.suffix.lower()] == _ZIP:
            with zipfile.ZipFile(source) as archive:
                return dict(json.loads(archive.read("config.json")))
        import h5py  # comes with TensorFlow

        with h5py.File(source, "r") as file:
            config = file.attrs.get("model_config")
            return None if config is None else dict(json.loads(config))
    except (OSError, KeyError, ValueError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise ExportError(f"{source} is not a Keras file: {reason}") from error


def _refuse_code_in(config: Any, source: Path) -> None:
    """Walk through a description of layers, whatever its nesting."""
    if isinstance(config, list):
        for inner in config:
            _refuse_code_in(inner, source)
    if not isinstance(config, dict):
        return
    kind = config.get("class_name")
    if kind in ("Lambda", "__lambda__"):
        raise ExportError(
            f"{source} has a Lambda layer, which is Python code that would run here: rebuild the "
            "network with ordinary layers"
        )
    module = config.get("module")
    if isinstance(module, str) and not _is_of_keras(module):
        raise ExportError(
            f"{source} names {module}.{kind}, which would be imported and run here: rebuild the network with "
            "Keras' own layers"
        )
    if kind == "function" and config.get("config") not in _ACTIVATIONS:
        raise ExportError(
            f"{source} calls {config.get('config')!r}, which is no activation of Keras: rebuild the network "
            "with ordinary layers"
        )
    operation = config.get("config", {})
    if kind in ("TFOpLambda", "SlicingOpLambda") and isinstance(operation, dict):
        function = str(operation.get("function", ""))
        if not function.removeprefix("tf.").startswith(_HARMLESS_OPERATIONS):
            raise ExportError(f"{source} has a layer that calls {function!r}, which is not allowed")
    for inner in config.values():
        _refuse_code_in(inner, source)


def _is_of_keras(module: str) -> bool:
    """Whether a description's module holds layers and their like, and nothing else."""
    package, *inner = module.split(".")
    if module == "builtins":
        # Functions of this name are activations, which are looked at by their own names.
        return True
    inner = inner[1:] if inner[:1] == ["src"] else inner
    return package in ("keras", "tf_keras") and inner[:1] in ([], *([one] for one in _MODULES))


def _load_model(source: Path) -> Any:
    """Build the network that the checked description says, and load its weights alone."""
    from tensorflow import keras

    architecture = _architecture(source)
    _refuse_code_in(architecture, source)
    try:
        if source.suffix.lower() == ".keras":
            model = keras.saving.deserialize_keras_object(architecture, safe_mode=True)
        else:
            model = keras.models.model_from_config(architecture)
        model.load_weights(source)
    except (ValueError, TypeError, OSError, KeyError, ImportError, AttributeError) as error:
        reason = str(error).partition("\n")[0]
        raise ExportError(f"Keras cannot load {source}: {reason}") from error
    _check_shapes(model.input_shape, model.output_shape, source)
    return model


def _refuse_effects(source: Path) -> None:
    """Refuse a SavedModel with an operation that does more than compute.

    Raises
    ------
    ExportError
        Naming the operation; functions that nothing but TensorFlow's own saving calls may save and restore.
    """
    import_tensorflow()
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2
    from tensorflow.python.framework import op_def_registry

    saved = saved_model_pb2.SavedModel()
    try:
        saved.ParseFromString((source / "saved_model.pb").read_bytes())
    except DecodeError as error:
        raise ExportError(f"{source} is not a SavedModel, or is cut off") from error
    for graph in (meta.graph_def for meta in saved.meta_graphs):
        functions = {one.signature.name: list(one.node_def) for one in graph.library.function}
        groups = {"": list(graph.node), **functions}
        for name, nodes in groups.items():
            saving = (
                name.startswith(("__inference__traced_save", "__inference__traced_restore"))
                or not name
            )
            for node in nodes:
                known = op_def_registry.get(node.op)
                harmless = known is not None and not known.is_stateful and node.op not in _FILES
                if node.op in functions or harmless or node.op in _HARMLESS_STATE:
                    continue
                if not (saving and node.op in _SAVING):
                    raise ExportError(
                        f"{source} has the operation {node.op}, which does more than compute: export the "
                        "network again without it"
                    )
        _refuse_saving_that_is_called(source, groups)


def _refuse_saving_that_is_called(source: Path, groups: dict[str, list[Any]]) -> None:
    """Refuse functions that call TensorFlow's saving themselves, as no network does."""
    for name, nodes in groups.items():
        for node in nodes:
            for attribute in node.attr.values():
                if name and attribute.func.name.startswith("__inference__traced_"):
                    raise ExportError(
                        f"{source} writes or reads files in the function {name}: export the network again"
                    )


def _load_weights(source: Path, spec: ModelSpec | None) -> Any:
    from infmap_train import run_folder
    from infmap_train.networks.classifiers import build

    if spec is None:
        raise ExportError(
            f"{source} holds weights and no architecture: put the spec.json of its run beside it"
        )
    expected = spec.files.get(source.name)
    if expected is not None and expected != sha256_of(source):
        raise SpecError(f"{source} is not the file that spec.json names (its SHA-256 differs)")
    model = build(spec.network)
    run_folder.load_weights(model, source)
    return model


def _load_saved_model(source: Path) -> Any:
    import tensorflow as tf

    # Not through Keras: its part of a SavedModel may hold code, the signature is a graph alone.
    try:
        loaded = tf.saved_model.load(str(source))
    except (OSError, ValueError, AttributeError, tf.errors.OpError) as error:
        reason = str(error).partition("\n")[0]
        raise ExportError(f"TensorFlow cannot load {source}: {reason}") from error
    signature = loaded.signatures.get("serving_default")
    if signature is None:
        raise ExportError(f"expected a signature serving_default in {source}, found none")
    (_, inputs), outputs = signature.structured_input_signature, signature.structured_outputs
    if len(inputs) != 1 or len(outputs) != 1:
        raise ExportError(
            f"expected one input and one output in {source}, found {len(inputs)} and {len(outputs)}"
        )
    input_name, output_name = next(iter(inputs)), next(iter(outputs))
    _check_shapes(tuple(inputs[input_name].shape), tuple(outputs[output_name].shape), source)

    def infer(normalised: Any) -> Any:
        # The signature holds its weights only as long as the loaded object lives.
        infer.loaded = loaded  # type: ignore[attr-defined]
        return signature(**{input_name: normalised})[output_name]

    return infer


def _check_shapes(shape_in: Any, shape_out: Any, source: Path) -> None:
    for what, actual, channels in (("input", shape_in, 3), ("output", shape_out, 1)):
        expected = (None, IMAGE_SIZE, IMAGE_SIZE, channels)
        fits = isinstance(actual, tuple) and len(actual) == 4
        if not fits or any(a not in (None, e) for a, e in zip(actual, expected, strict=True)):
            raise ExportError(f"expected {what} {expected} of {source}, found {actual}")


if __name__ == "__main__":
    command.run(app)
