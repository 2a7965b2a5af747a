"""A part: one of the networks of a served model, and everything in which it differs from the others.

A part is an instance of :class:`Part`, and :mod:`infmap_kit.parts.registry` lists them. Graphs, configs, the
gate, bundles, manifests, commands and results walk over the parts that a model has.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infmap_kit.model.finding import FindingSpec
from infmap_kit.model.identity import ModelIdentity
from infmap_kit.model.run_folder import SEGMENTATION_GRAPH
from infmap_kit.model.spec import IMAGE_SIZE, ModelSpec
from infmap_kit.model.tensors import Graph, Tensor

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray

    from infmap_kit.answer.answer import Answer
    from infmap_kit.answer.part import PartAnswer
    from infmap_kit.parts.check import Check
    from infmap_kit.parts.recording import Recording

    Outputs = Mapping[str, NDArray[Any]]
    """Output name to array of one picture, without the batch dimension."""


# Parts are found by their names: two with the same fields are not the same.
@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """One network of a served model.

    Parameters
    ----------
    name
        Key of manifests and bundles, prefix of config parameters, and the option of commands (``--lungs``).
    graph
        Name and tensors of its ONNX graph.
    graph_file
        The graph in the part's run folder.
    help
        Help text of that option.
    noun
        The kind of network in messages, such as ``a lung network``.
    another
        The part of another run in messages; ``another NAME`` when it is empty.
    trained_with
        The command that makes such a run folder.
    record_prefix
        Begins a manifest's keys about how the part's engine was built.
    is_lowered
        Whether its engine computes in the precision that was asked for; others compute in FP32.
    detection_outputs
        Outputs that the detection graph computes of the part's raw output. Without any, detection does not
        read the part, and the ensemble shows the graph's own outputs.
    settings
        Further options of commands that belong to the part: name to help text.
    settings_note
        Why such an option needs the part, in the message that asks for it.
    has_own_run
        Whether it is another network, whose run folder an option names; else the infection's run brings it.
    """

    name: str
    graph: Graph
    graph_file: str = SEGMENTATION_GRAPH
    help: str = ""
    noun: str = ""
    another: str = ""
    trained_with: str = ""
    record_prefix: str = ""
    is_lowered: bool = False
    detection_outputs: tuple[Tensor, ...] = ()
    settings: Mapping[str, str] = dataclasses.field(default_factory=dict)
    settings_note: str = "needs its network"
    has_own_run: bool = True

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The outputs that the ensemble has because of the part."""
        return self.detection_outputs or self.graph.outputs

    @property
    def asked_outputs(self) -> tuple[Tensor, ...]:
        """The outputs that are asked of a server for every radiograph; the others are for explanations."""
        return self.outputs

    @property
    def looks_for_the_finding(self) -> bool:
        """Whether the part decides about the finding itself, so that both must have been trained on one."""
        return not self.detection_outputs

    @property
    def option(self) -> str:
        """The option of commands that takes the part's run folder."""
        return f"--{self.name}"

    # From a run folder to a graph that can be served.

    def require(self, spec: ModelSpec, run: Path) -> None:
        """Refuse a run folder that holds another kind of network.

        Raises
        ------
        ExportError
            When the record says that it was trained on something else.
        """

    def prepare(self, model: onnx.ModelProto, image_size: int = IMAGE_SIZE) -> onnx.ModelProto:
        """Make a graph for pictures of a size fit to be served; the model that is given stays as it is.

        Raises
        ------
        ExportError
            Naming the input, output, node or weight that does not fit.
        """
        from infmap_kit.graphs.preparation import prepare_network

        graph = self.graph.at(image_size)
        return prepare_network(model, graph, kind=self.noun, trained_with=self.trained_with)

    def identity(self, settings: Mapping[str, str]) -> dict[str, str]:
        """The part's settings for a manifest.

        Raises
        ------
        SpecError
            When a setting is not as it must be.
        """
        return dict(settings)

    # From outputs to an answer.

    def read(self, outputs: Outputs, model: ModelIdentity) -> PartAnswer | None:
        """The answer in an ensemble's outputs for one picture, or ``None`` where the part is not served."""
        raise NotImplementedError

    def reference(
        self, raw: Outputs, probability: NDArray[np.float32], finding: FindingSpec
    ) -> PartAnswer:
        """The answer of the trained network, by formulas and without any of the graphs behind the ensemble.

        Parameters
        ----------
        raw
            Outputs of the network's graph for one picture.
        probability
            (224, 224) float32 of infection.
        finding
            The model's finding, with the probability from which a pixel is affected.
        """
        raise NotImplementedError

    def recomputed(self, answer: Answer) -> PartAnswer | None:
        """The part's answer by formulas of its own values in an answer; ``None`` where it has none."""
        return answer.parts.get(self.name)

    # The gate.

    def bounds(self, precision: str) -> Any:
        """The largest deviations of an engine from its reference, as a dataclass that JSON can hold."""
        raise NotImplementedError

    def compare(self, reference: Answer, actual: Answer) -> Any:
        """Compare two answers about one picture: a dataclass, or ``None`` where neither has the part."""
        raise NotImplementedError

    def checks(self, compared: Sequence[tuple[str, Any]], bounds: Any) -> list[Check]:
        """The checks of an engine, by name and comparison of each picture, at least one."""
        raise NotImplementedError

    # Bundles.

    def pack(self, answer: PartAnswer) -> dict[str, bytes]:
        """The trained network's answer about a picture, as files of a bundle: suffix to content."""
        raise NotImplementedError

    def unpack(
        self, recording: Recording, probability: NDArray[np.float32], finding: FindingSpec
    ) -> PartAnswer:
        """Read what :meth:`pack` wrote.

        Raises
        ------
        BundleError
            When a file is missing or damaged.
        """
        raise NotImplementedError


class SegmentationPart(Part):
    """A part that segments: its graph's tensors get the contract's names, whatever converted it."""

    def prepare(self, model: onnx.ModelProto, image_size: int = IMAGE_SIZE) -> onnx.ModelProto:
        """See :meth:`Part.prepare`."""
        from infmap_kit.graphs.preparation import prepare_segmentation

        return prepare_segmentation(model, self.graph.at(image_size))
