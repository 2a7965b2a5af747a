"""Keras files of others: which they are, what is described in them, and the network built of that description.

A file is built from its description, which may name the layers of networks and nothing else, and only numbers
are loaded from it. Keras itself would import and call what a description names (CVE-2024-3660, CVE-2025-1550,
CVE-2025-8747, CVE-2025-9905), and HDF5 would open what its links name.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from infmap_kit.errors import ExportError
from infmap_kit.model.files import parse_json
from infmap_train.training.hdf5_weights import MAX_WEIGHTS_BYTES, refuse_links

HDF5, ZIP = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04"
SIGNATURES = {".keras": ZIP, ".h5": HDF5, ".hdf5": HDF5}

MAX_DESCRIPTION_BYTES = 2**26

_DESCRIPTION, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"

# Layers that compute on pictures. Left out are those that read files, call functions, or make operations by
# name.
_LAYERS = frozenset(
    (
        *("Activation", "Add", "AdditiveAttention", "AlphaDropout", "Attention", "Average"),
        *("BatchNormalization", "CenterCrop", "Concatenate", "Dense", "DepthwiseConv1D"),
        *("DepthwiseConv2D", "Dot", "Dropout", "ELU", "EinsumDense", "Flatten", "Functional"),
        *("GaussianDropout", "GaussianNoise", "GroupNormalization", "Identity", "InputLayer"),
        *("LayerNormalization", "LeakyReLU", "Maximum", "Minimum", "Model", "MultiHeadAttention"),
        *("Multiply", "Normalization", "PReLU", "Permute", "ReLU", "RepeatVector", "Rescaling"),
        *("Reshape", "Resizing", "SeparableConv1D", "SeparableConv2D", "Sequential", "Softmax"),
        *("Subtract", "SyncBatchNormalization", "ThresholdedReLU", "TimeDistributed"),
        *("UnitNormalization", "TFOpLambda", "SlicingOpLambda"),
        *(
            f"{name}{rank}D"
            for name in (
                *("AveragePooling", "Conv", "Cropping", "GlobalAveragePooling", "GlobalMaxPooling"),
                *("MaxPooling", "SpatialDropout", "UpSampling", "ZeroPadding"),
            )
            for rank in (1, 2, 3)
        ),
        *("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"),
    )
)
_INITIALIZERS = frozenset(
    (
        *("Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Identity"),
        *("LecunNormal", "LecunUniform", "Ones", "Orthogonal", "RandomNormal", "RandomUniform"),
        *("TruncatedNormal", "VarianceScaling", "Zeros"),
    )
)
_REGULARIZERS = frozenset(("L1", "L2", "L1L2", "OrthogonalRegularizer"))
_CONSTRAINTS = frozenset(("MaxNorm", "MinMaxNorm", "NonNeg", "RadialConstraint", "UnitNorm"))
_ACTIVATIONS = frozenset(
    (
        *("celu", "elu", "exponential", "gelu", "hard_sigmoid", "hard_silu", "hard_swish"),
        *("leaky_relu", "linear", "log_sigmoid", "mish", "relu"),
        *("relu6", "selu", "sigmoid", "silu", "softmax", "softplus", "softsign", "swish", "tanh"),
    )
)
# Numbers and places that stand between layers, and the types that they compute in.
_VALUES = frozenset(
    (
        *("__tensor__", "__keras_tensor__", "__numpy__", "__tuple__", "__ellipsis__", "__slice__"),
        *("Policy", "DTypePolicy"),
    )
)
_CLASSES = _LAYERS | _INITIALIZERS | _REGULARIZERS | _CONSTRAINTS | _VALUES | {"function"}

# What a key's text stands for: Keras looks it up among functions and classes of that kind.
_TEXTS: Mapping[str, frozenset[str]] = {
    "activation": _ACTIVATIONS,
    "initializer": _INITIALIZERS,
    "regularizer": _REGULARIZERS,
    "constraint": _CONSTRAINTS,
}

# Where Keras may look for what a description names; elsewhere are functions that read, write and fetch.
_MODULES = (
    *("activations", "constraints", "engine", "initializers", "layers", "mixed_precision"),
    *("models", "regularizers"),
)

# Keras 3 records plain arithmetic as operations of its own, by class and module. Left out are those that take
# functions, draw by chance, or have effects.
_KERAS_3_OPERATIONS: Mapping[str, frozenset[str]] = {
    "numpy": frozenset(
        (
            *("Absolute", "Add", "Average", "Clip", "Concatenate", "Divide", "Exp", "ExpandDims"),
            *("GetItem", "Log", "Matmul", "Max", "Maximum", "Mean", "Min", "Minimum", "Multiply"),
            *(
                "Negative",
                "Pad",
                "Power",
                "Repeat",
                "Reshape",
                "Sqrt",
                "Square",
                "Squeeze",
                "Stack",
            ),
            *("Subtract", "Sum", "Tanh", "Tile", "Transpose", "TrueDivide"),
        )
    ),
    "nn": frozenset(
        (
            *("AveragePool", "Conv", "ConvTranspose", "DepthwiseConv", "Elu", "Gelu"),
            *("HardSigmoid", "HardSilu", "LeakyRelu", "LogSigmoid", "MaxPool", "Relu", "Relu6"),
            *("Selu", "Sigmoid", "Silu", "Softmax", "Softplus", "Softsign"),
        )
    ),
    "image": frozenset(("Resize",)),
    "core": frozenset(("Cast",)),
}

# The operations that Keras layers record as such when a model was written with plain arithmetic.
_OPERATIONS = (
    *("__operators__.", "cast", "clip_by_value", "concat", "expand_dims", "image.resize"),
    *("math.", "nn.", "reshape", "squeeze", "transpose"),
)


def check_keras_file(source: Path) -> None:
    """Refuse a file that is of another kind than its name says, or that holds more than layers and numbers.

    Raises
    ------
    ExportError
        Naming what was found in it.
    """
    _refuse_disguise(source)
    description = read_description(source)
    for weights in _open_weights(source):
        refuse_links(weights, source)
    if description is not None:
        _refuse_code_in(description, source)


def read_description(source: Path) -> dict[str, Any] | None:
    """Read the layers' description in a Keras file; ``None`` when it holds weights alone.

    How it was trained is left out: nothing of that is needed, and losses of one's own are usual.
    """
    import h5py  # comes with TensorFlow

    try:
        if SIGNATURES[source.suffix.lower()] == ZIP:
            with zipfile.ZipFile(source) as archive:
                text: Any = _member(archive, _DESCRIPTION, MAX_DESCRIPTION_BYTES)
        else:
            with h5py.File(source, "r") as file:
                text = file.attrs.get("model_config")
        if text is None:
            return None
        # Bounds of layers may be infinite, and Keras writes them so.
        return dict(_without_training(parse_json(text, finite=False)))
    except (*_UNREADABLE, TypeError, RecursionError) as error:
        raise _unreadable(source, error) from error


def build(source: Path, description: dict[str, Any]) -> Any:
    """Build the network of a description that was checked, and load the file's weights.

    Raises
    ------
    ExportError
        When Keras does not take it.
    """
    if _is_of_keras_3(source):
        import keras

        # Where a model's class lies, which Keras 3 does not write into HDF5; of layers it knows.
        kind = description.get("class_name")
        lies = "keras.src.models.functional" if kind == "Functional" else "keras"
        description = {"module": lies, "registered_name": None, **description}
        is_new = True
    else:
        from tensorflow import keras

        is_new = source.suffix.lower() == ".keras"
    try:
        if is_new:
            model = keras.saving.deserialize_keras_object(description, safe_mode=True)
        else:
            model = keras.models.model_from_config(description)
        model.load_weights(source)
    except Exception as error:
        # Keras raises whatever its own code stumbled over.
        # What follows its first sentence is the whole description.
        reason = str(error).strip().partition("\n")[0].partition(". ")[0]
        raise ExportError(
            f"Keras cannot load {source}: {reason:.200}; save the model again, as .keras"
        ) from error
    return model


def _is_of_keras_3(source: Path) -> bool:
    """Whether Keras 3 wrote a file, by the version in it; files without one are older."""
    import h5py

    try:
        if SIGNATURES[source.suffix.lower()] == ZIP:
            with zipfile.ZipFile(source) as archive:
                metadata = parse_json(_member(archive, _METADATA, MAX_DESCRIPTION_BYTES))
            version = metadata.get("keras_version") if isinstance(metadata, dict) else None
        else:
            with h5py.File(source, "r") as file:
                version = file.attrs.get("keras_version")
    except KeyError:
        return False
    except (*_UNREADABLE, TypeError, RecursionError) as error:
        raise _unreadable(source, error) from error
    major = str(version or "").partition(".")[0]
    return major.isdecimal() and int(major) >= 3


# What readers of archives and of HDF5 raise for a damaged file.
_UNREADABLE = (
    *(OSError, KeyError, ValueError, RuntimeError, NotImplementedError, EOFError),
    *(zipfile.BadZipFile, zlib.error),
)


def _unreadable(source: Path, error: Exception) -> ExportError:
    reason = str(error).partition("\n")[0]
    return ExportError(f"{source} is not a Keras file: {reason:.200}")


def _refuse_disguise(source: Path) -> None:
    """Refuse a file that is another kind than its name says, or two kinds at once.

    A zip is found by its end: an HDF5 file with a zip behind it would be checked as the one and loaded as the
    other.
    """
    with source.open("rb") as file:
        begins = file.read(len(HDF5))
    expected = SIGNATURES[source.suffix.lower()]
    if not begins.startswith(expected):
        kind = "a zip archive" if expected == ZIP else "an HDF5 file"
        raise ExportError(
            f"{source} is not a Keras file: expected {kind}, as {source.suffix} files are, found one that "
            f"begins with {begins[:4]!r}"
        )
    if expected == HDF5 and zipfile.is_zipfile(source):
        raise ExportError(
            f"{source} is an HDF5 file and a zip archive at once, made to be read in two ways: save the model "
            "again"
        )


def _member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """A member's content; what says that it is larger is not unpacked, and what is larger is cut off."""
    entry = archive.getinfo(name)
    if entry.file_size > most:
        raise ValueError(f"{name} in it has {entry.file_size} bytes, expected at most {most}")
    if archive.namelist().count(name) > 1:
        raise ValueError(f"it holds {name} twice")
    return archive.read(name)


def _open_weights(source: Path) -> Iterator[Any]:
    """The HDF5 file that holds the numbers."""
    import h5py

    try:
        if SIGNATURES[source.suffix.lower()] == ZIP:
            with zipfile.ZipFile(source) as archive:
                content = io.BytesIO(_member(archive, _WEIGHTS, MAX_WEIGHTS_BYTES))
            with h5py.File(content, "r") as file:
                yield file
        else:
            with h5py.File(source, "r") as file:
                yield file
    except _UNREADABLE as error:
        raise _unreadable(source, error) from error


def _without_training(description: Any) -> Any:
    if isinstance(description, list):
        return [_without_training(inner) for inner in description]
    if not isinstance(description, dict):
        return description
    return {
        key: _without_training(inner)
        for key, inner in description.items()
        if key != "compile_config"
    }


def _refuse_code_in(described: Any, source: Path, layer: str = "") -> None:
    """Walk through a description of layers, whatever its nesting."""
    if isinstance(described, list):
        for inner in described:
            _refuse_code_in(inner, source, layer)
    if not isinstance(described, dict):
        return
    if "class_name" in described:
        _refuse_class(described, source)
        own = described.get("config")
        layer = str(own.get("name", layer)) if isinstance(own, dict) else layer
    for key, inner in described.items():
        if key == "training" and inner:
            raise ExportError(
                f"{source} computes its layer {layer!r:.60} as in training, where an answer depends on the "
                "other pictures or on chance: build the network without training=True"
            )
        known = _TEXTS.get(str(key).rpartition("_")[2])
        if known and isinstance(inner, str) and _plain(inner) not in {_plain(one) for one in known}:
            raise ExportError(
                f"{source} names the {key} {inner!r:.60}, which is none of Keras: rebuild the network with "
                "Keras' own layers"
            )
        _refuse_code_in(inner, source, layer)


def _plain(text: str) -> str:
    return text.lower().replace("_", "")


def _refuse_class(described: Mapping[str, Any], source: Path) -> None:
    kind, module, own = (described.get(key) for key in ("class_name", "module", "config"))
    if kind in ("Lambda", "__lambda__"):
        raise ExportError(
            f"{source} has a Lambda layer, which is Python code that would run here: rebuild the "
            "network with ordinary layers"
        )
    if _is_operation(module, kind):
        return
    if module is not None and not _is_of_keras(module):
        raise ExportError(
            f"{source} names {module!s:.60}.{kind!s:.60}, which would be imported and run here: rebuild the "
            "network with Keras' own layers"
        )
    if kind not in _CLASSES or described.get("registered_name") not in (None, kind, own):
        named = described.get("registered_name") or kind
        raise ExportError(
            f"{source} has {named!r:.60}, which is none of the layers that networks are made of here: rebuild "
            "the network with Keras' own layers"
        )
    if kind == "function" and own not in _ACTIVATIONS:
        raise ExportError(
            f"{source} calls {own!r:.60}, which is no activation of Keras: rebuild the network "
            "with ordinary layers"
        )
    if kind in ("TFOpLambda", "SlicingOpLambda"):
        function = str(own.get("function", "")) if isinstance(own, dict) else ""
        if not function.removeprefix("tf.").startswith(_OPERATIONS):
            raise ExportError(
                f"{source} has a layer that calls {function!r:.60}, none of the operations that compute "
                "networks: rebuild it with Keras' own layers"
            )


def _is_operation(module: object, kind: object) -> bool:
    """Whether a description names one of Keras 3's operations that compute."""
    package, _, inner = str(module).removeprefix("keras.").rpartition("ops.")
    return (
        str(module).startswith("keras.")
        and package in ("", "src.")
        and kind in _KERAS_3_OPERATIONS.get(inner, frozenset())
    )


def _is_of_keras(module: object) -> bool:
    """Whether a description's module holds layers and their like, and nothing else."""
    if module == "builtins":
        # Functions of this name are activations, which are looked at by their own names.
        return True
    package, *inner = str(module).split(".")
    inner = inner[1:] if inner[:1] == ["src"] else inner
    return package in ("keras", "tf_keras") and inner[:1] in ([], *([one] for one in _MODULES))
