"""The network of the infection, which every model has.

Its answer is the :class:`~infmap_kit.answer.answer.Answer` itself, and its checks are those of
:mod:`infmap_kit.gate.comparison`.
"""

from __future__ import annotations

from pathlib import Path

from infmap_kit.errors import ExportError
from infmap_kit.model.spec import ClassifierSpec, ModelSpec
from infmap_kit.model.tensors import SEGMENTATION
from infmap_kit.parts.part import SegmentationPart


class Infection(SegmentationPart):
    """The segmentation of infected regions."""

    def __init__(self) -> None:
        super().__init__(
            name="infection", graph=SEGMENTATION, noun="a segmentation network", is_lowered=True
        )

    def require(self, spec: ModelSpec, run: Path) -> None:
        """See :meth:`Part.require`."""
        if isinstance(spec.network, ClassifierSpec):
            raise ExportError(
                f"{run} holds a classifier ({spec.network.encoder}), which says whether and not where: export "
                "the run of a segmentation network, and add this one with --classifier"
            )
        if spec.anatomy == "lungs":
            raise ExportError(
                f"{run} is a network of the lungs, which says nothing of infection: export the infection's "
                f"run, and give this one as --lungs {run}"
            )
