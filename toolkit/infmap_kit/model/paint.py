"""The way to paint probabilities on the radiograph, which is stated in a release's identity."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

from infmap_kit.errors import SpecError

if TYPE_CHECKING:
    import onnx

BY_OPACITY, BY_THE_PAPER = "opacity", "paper"
EVERYWHERE, IN_LUNGS = "everywhere", "lungs"
COLOURS = ("jet", "turbo", "inferno", "cividis")
"""Colour scales by OpenCV's names; inferno and cividis are perceptually uniform, and cividis looks alike to
whoever sees red and green as one."""

_PARAMETER = "paint"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Paint:
    """The way to paint an infection map.

    Parameters
    ----------
    paint
        ``opacity``: the colour is laid over the radiograph, and the more opaque the more probable. ``paper``:
        hue and saturation are the probability's and the value the radiograph's (paper, II-D), so that 0.4 % is
        painted as strongly as 40 %.
    paint_from
        Probability in [0, 1) below which nothing is painted, in steps of 1/255.
    paint_in
        ``everywhere``, or inside the ``lungs`` alone; where no lung was found, everywhere.
    colours
        One of :data:`COLOURS`; empty for the finding's own.

    Raises
    ------
    SpecError
        Naming the option and what it may be.
    """

    paint: str = dataclasses.field(
        default=BY_OPACITY,
        metadata={
            "help": "How maps are painted: opacity (a higher probability is more opaque) or paper (as in the "
            "paper's figures)."
        },
    )
    paint_from: float = dataclasses.field(
        default=0.0,
        metadata={"help": "Probability below which nothing is painted.", "min": 0, "max": 1},
    )
    paint_in: str = dataclasses.field(
        default=EVERYWHERE,
        metadata={
            "help": "Where maps are painted: everywhere, or only inside the lungs (lungs, which needs --lungs)."
        },
    )
    colours: str = dataclasses.field(
        default="",
        metadata={
            "help": f"Colour scale of maps: {', '.join(COLOURS)}. Without it the finding's own."
        },
    )

    def __post_init__(self) -> None:
        for option, allowed in (
            ("paint", (BY_OPACITY, BY_THE_PAPER)),
            ("paint_in", (EVERYWHERE, IN_LUNGS)),
            ("colours", ("", *COLOURS)),
        ):
            if (value := getattr(self, option)) not in allowed:
                raise SpecError(
                    f"expected --{option.replace('_', '-')} of {', '.join(filter(None, allowed))}, found "
                    f"{value!r:.40}"
                )
        if not 0 <= self.paint_from < 1:
            raise SpecError(
                f"expected --paint-from from 0 and below 1, found {self.paint_from:.40g}"
            )

    @property
    def in_lungs(self) -> bool:
        """Whether nothing is painted outside the lungs."""
        return self.paint_in == IN_LUNGS

    def as_parameters(self) -> dict[str, str]:
        """Return its differences from the paper's, as texts for configs, manifests and graphs."""
        return {
            _parameter(key): f"{value:g}" if isinstance(value, float) else value
            for key, value in vars(self).items()
            if value != getattr(PAPER, key)
        }

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, str]) -> Self:
        """The paint that :meth:`as_parameters` was made of; the paper's where there are none.

        Raises
        ------
        SpecError
            When they are of a newer kind, or damaged.
        """
        names = {_parameter(field.name): field.name for field in dataclasses.fields(cls)}
        stated = {names[name]: text for name, text in parameters.items() if name in names}
        try:
            number = float(stated.pop("paint_from", "0"))
            return cls(**{"paint": BY_THE_PAPER, **stated}, paint_from=number)
        except ValueError as error:
            raise SpecError("paint_from of the model is no number: export again") from error


def paint_of(rendering: onnx.ModelProto) -> Paint:
    """The paint that a rendering graph states in its metadata.

    Raises
    ------
    SpecError
        When that is of a newer kind.
    """
    return Paint.from_parameters({prop.key: prop.value for prop in rendering.metadata_props})


def _parameter(field: str) -> str:
    return field if field.startswith(_PARAMETER) else f"{_PARAMETER}_{field}"


PAPER = Paint(paint=BY_THE_PAPER)
"""The paper's, and that of whatever states none."""

DEFAULT_PAINT = Paint()
"""The default of an export."""

PARAMETERS = frozenset(_parameter(field.name) for field in dataclasses.fields(Paint))
"""Names of the parameters, which say nothing of what a model decides."""
