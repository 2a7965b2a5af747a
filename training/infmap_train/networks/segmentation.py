"""The paper's 24 networks, with exactly the parameter counts of its Table V; the edge network lies in ``edge``.

The only file that imports segmentation-models: it prints when imported and patches Keras.
"""

from __future__ import annotations

import contextlib
import io
import math
from typing import Any

import tensorflow as tf

from infmap_kit.model.spec import IMAGE_SIZE, Architecture, Encoder, NetworkSpec
from infmap_train.networks import edge

with contextlib.redirect_stdout(io.StringIO()):
    import segmentation_models as sm
    from segmentation_models.backbones.backbones_factory import Backbones

keras = tf.keras

_BACKBONE = {
    Encoder.CHEXNET: "densenet121",
    Encoder.DENSENET_121: "densenet121",
    Encoder.INCEPTION_V3: "inceptionv3",
    Encoder.RESNET_50: "resnet50",
}

# Row of the decoder's grid to filters. 16 in row 4 looks odd, and is the only choice that
# reproduces Table V to the digit.
_FILTERS = {0: 32, 1: 64, 2: 128, 3: 256, 4: 16}

# How the layers begin that are not the encoder's, in segmentation-models' U-Net, in the grids and in
# the classifiers.
_OTHER_NAMES = ("decoder_", "center_block", "final_conv", "sigmoid", "classifier_")


def build_network(
    spec: NetworkSpec, *, encoder_weights: str | None = None, image_size: int | None = IMAGE_SIZE
) -> Any:
    """Build one of the 24 networks, or the edge network.

    Parameters
    ----------
    spec
        Architecture and encoder.
    encoder_weights
        ``None`` for random weights, ``"imagenet"`` to let segmentation-models download them, which it
        cannot for the edge network.
    image_size
        Height and width of the input; ``None`` leaves them open (the weights are the same).

    Returns
    -------
    keras.Model
        (N, H, W, 3) float32, normalised for the encoder, to (N, H, W, 1) probabilities.
    """
    if spec.encoder is Encoder.EFFICIENTNET_LITE_0:
        network = edge.build_edge(image_size)
    elif spec.architecture is Architecture.UNET:
        network = _answering_in_fp32(
            sm.Unet(
                _BACKBONE[spec.encoder],
                input_shape=(image_size, image_size, 3),
                encoder_weights=encoder_weights,
            )
        )
    else:
        network = _build_grid(
            build_encoder(spec.encoder, encoder_weights=encoder_weights, image_size=image_size),
            spec.encoder,
            dense_skips=spec.architecture is Architecture.UNET_PLUS_PLUS,
        )
    if spec.encoder_frozen:
        freeze_encoder(network)
    return network


def freeze_encoder(network: Any) -> None:
    """Keep the encoder's weights as they are, batch normalisation apart.

    The rule is segmentation-models' own, and the one that reproduces Table V's counts.
    """
    for layer in encoder_layers(network):
        if not isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False


def encoder_layers(network: Any) -> list[Any]:
    """Give the encoder's layers, in the order in which Keras saves them."""
    return [layer for layer in network.layers if not layer.name.startswith(_OTHER_NAMES)]


def count_parameters(network: Any) -> tuple[int, int]:
    """Trainable and non-trainable parameters, as Table V counts them."""
    return (
        sum(math.prod(w.shape) for w in network.trainable_weights),
        sum(math.prod(w.shape) for w in network.non_trainable_weights),
    )


def build_encoder(
    encoder: Encoder, *, encoder_weights: str | None = None, image_size: int | None = IMAGE_SIZE
) -> Any:
    """Build an encoder alone; parameters as of :func:`build_network`.

    Returns
    -------
    keras.Model
        (N, H, W, 3) float32, normalised for the encoder, to (N, H / 32, W / 32, K) features.
    """
    return Backbones.get_backbone(
        _BACKBONE[encoder],
        input_shape=(image_size, image_size, 3),
        weights=encoder_weights,
        include_top=False,
        backend=keras.backend,
        layers=keras.layers,
        models=keras.models,
        utils=keras.utils,
    )


def _answering_in_fp32(unet: Any) -> Any:
    """Let a U-Net's last layers compute in FP32 whatever the policy, as those of the grids do.

    In bfloat16 a logit of 6 is a probability of 1, for which there is no gradient.
    """
    if keras.mixed_precision.global_policy().compute_dtype == "float32":
        return unet
    answer = unet.get_layer("final_conv").input
    for layer in map(unet.get_layer, ("final_conv", "sigmoid")):
        answer = type(layer).from_config({**layer.get_config(), "dtype": "float32"})(answer)
    return keras.Model(unet.input, answer)


def _build_grid(encoder: Any, name: Encoder, *, dense_skips: bool) -> Any:
    """UNet++ (``dense_skips``) or DLA: a grid of nodes X[row, column] over an encoder.

    Column 0 holds the encoder's features: row 5 its output, rows 4 to 1 the skips at 1/16 to
    1/2. Node X[row, column + 1] is X[row + 1, column] upsampled, beside its row's skips.
    """
    skips = [
        encoder.get_layer(name=key).output if isinstance(key, str) else encoder.layers[key].output
        for key in Backbones.get_feature_layers(_BACKBONE[name], n=4)
    ]
    column = {5: encoder.output, **{4 - depth: skip for depth, skip in enumerate(skips)}}
    grid: dict[tuple[int, int], Any] = {(row, 0): tensor for row, tensor in column.items()}
    for col in range(4):
        for row in range(1, 5 - col):
            earlier = range(col + 1) if dense_skips else (col,)
            beside = [grid[row, before] for before in earlier]
            grid[row, col + 1] = _node(
                grid[row + 1, col], beside, _FILTERS[row], f"decoder_x{row}{col + 1}"
            )
    full_size = _node(grid[1, 4], [], _FILTERS[0], "decoder_x05")
    head = keras.layers.Conv2D(
        1, 3, padding="same", activation="sigmoid", name="final_conv", dtype="float32"
    )
    return keras.Model(encoder.input, head(full_size))


def _node(below: Any, skips: list[Any], filters: int, name: str) -> Any:
    """Upsample by 2, concatenate with the skips, then twice convolution, batch norm, ReLU."""
    layers = keras.layers
    x = layers.UpSampling2D(2, interpolation="nearest", name=f"{name}_up")(below)
    if skips:
        x = layers.Concatenate(name=f"{name}_concat")([x, *skips])
    for half in ("a", "b"):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"{name}{half}_conv")(x)
        x = layers.BatchNormalization(name=f"{name}{half}_bn")(x)
        x = layers.Activation("relu", name=f"{name}{half}_relu")(x)
    return x
