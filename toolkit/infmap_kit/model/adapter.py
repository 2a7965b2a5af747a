"""The preprocessing and the outputs of another framework's network, where its file does not state them."""

from __future__ import annotations

import dataclasses
import math

from infmap_kit.errors import SpecError
from infmap_kit.model.spec import LARGEST_IMAGE_SIZE

LAYOUTS = ("nchw", "nhwc")
"""Orders of a network's axes: pictures, channels, height, width, or with the channels last."""

_ACTIVATIONS = ("sigmoid", "softmax", "none")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelAdapter:
    """The conversions for another framework's network. What is not given, its graph must state.

    Parameters
    ----------
    layout
        Order of the axes: ``nchw`` or ``nhwc``.
    scale
        Factor of the pixels, as a number or a quotient of two.
    mean, std
        Subtracted from the scaled pixels, and what they are divided by then: one number, or one a channel.
    activation
        ``sigmoid``, ``softmax`` or ``none``, and behind a colon the class of the finding, from 0.
    size
        Height and width of the pictures in pixels.
    """

    layout: str | None = dataclasses.field(
        default=None,
        metadata={
            "help": "Order of the axes that another framework's network expects: nchw (PyTorch) or nhwc."
        },
    )
    scale: str | None = dataclasses.field(
        default=None,
        metadata={
            "help": "Factor by which pixels of 0 to 255 are multiplied for another framework's network, such "
            "as 1/255 or 1."
        },
    )
    mean: str | None = dataclasses.field(
        default=None,
        metadata={
            "help": "Mean to subtract after --scale: one number, or one per channel (0.485,0.456,0.406)."
        },
    )
    std: str | None = dataclasses.field(
        default=None,
        metadata={
            "help": "Standard deviation to divide by after --mean: one number, or one per channel "
            "(0.229,0.224,0.225)."
        },
    )
    activation: str | None = dataclasses.field(
        default=None,
        metadata={
            "help": "Function that turns the network's outputs into probabilities: sigmoid, softmax or none. "
            "With several classes, add the number of the finding's class (softmax:1, sigmoid:0, none:1)."
        },
    )
    size: int | None = dataclasses.field(
        default=None,
        metadata={
            "help": "Height and width of the pictures in pixels, needed if the network accepts any size.",
            "min": 16,
            "max": LARGEST_IMAGE_SIZE,
        },
    )

    def __post_init__(self) -> None:
        if self.layout not in (None, *LAYOUTS):
            raise SpecError(f"expected --layout nchw or nhwc, found {self.layout!r:.40}")
        if self.size is not None and not 0 < self.size <= LARGEST_IMAGE_SIZE:
            raise SpecError(f"expected --size of 1 to {LARGEST_IMAGE_SIZE}, found {self.size}")
        if self.scale is not None and not all(self.factors()):
            raise SpecError(f"expected --scale other than 0, found {self.scale!r:.40}")
        if self.std is not None and min(_numbers("std", self.std)) <= 0:
            raise SpecError(f"expected --std above 0, found {self.std!r:.80}")
        if self.mean is not None:
            _numbers("mean", self.mean)
        _ = self.chosen

    @property
    def feeds(self) -> dict[str, str]:
        """The options about pixels that were given, by name."""
        stated = {"layout": self.layout, "scale": self.scale, "mean": self.mean, "std": self.std}
        return {name: value for name, value in stated.items() if value is not None}

    def factors(self) -> tuple[float, float]:
        """The factor by which pixels are multiplied, and the divisor after it."""
        text = self.scale or "1"
        words = text.split("/")
        try:
            first, second = float(words[0]), float(words[1]) if len(words) > 1 else 1.0
        except ValueError:
            first = second = math.nan
        if len(words) > 2 or not math.isfinite(first) or not math.isfinite(second):
            raise SpecError(f"expected --scale as a number or 1/255, found {text!r:.40}")
        return first, second

    def normalisation(self, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """Mean and deviation of each channel; ``None`` where neither was given.

        Raises
        ------
        SpecError
            When there are as many of neither one nor the channels.
        """
        if self.mean is None and self.std is None:
            return None
        pair = []
        for name, text in (("mean", self.mean or "0"), ("std", self.std or "1")):
            values = _numbers(name, text)
            if len(values) not in (1, channels):
                raise SpecError(
                    f"expected --{name} with 1 number or {channels}, as the network has channels, found "
                    f"{len(values)}"
                )
            pair.append(values * channels if len(values) == 1 else values)
        return pair[0], pair[1]

    @property
    def chosen(self) -> tuple[str | None, int | None]:
        """Activation and class that were asked for."""
        if self.activation is None:
            return None, None
        name, colon, number = self.activation.partition(":")
        if name not in _ACTIVATIONS or (colon and not number.isdecimal()):
            raise SpecError(
                "expected --activation sigmoid, softmax or none, with the finding's class behind a colon where "
                f"there are several (softmax:1), found {self.activation!r:.40}"
            )
        return name, int(number) if colon else None


AS_IT_IS = ModelAdapter()
"""For a graph of the contract, which needs nothing around it."""


def _numbers(name: str, text: str) -> tuple[float, ...]:
    try:
        values = tuple(float(word) for word in text.split(","))
    except ValueError:
        values = (math.nan,)
    if not all(map(math.isfinite, values)):
        raise SpecError(f"expected --{name} such as 0.485,0.456,0.406, found {text!r:.80}")
    return values
