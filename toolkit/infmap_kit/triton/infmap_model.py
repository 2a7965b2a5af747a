"""A model that answers about radiographs: what a server's client and engines in this process have in common."""

from __future__ import annotations

import abc
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from infmap_kit.model.identity import ModelIdentity
from infmap_kit.model.tensors import IMAGE
from infmap_kit.parts.contract import ENSEMBLE

if TYPE_CHECKING:
    from tritonclient.grpc import model_config_pb2 as pb

_OUTPUTS = tuple(tensor.name for tensor in ENSEMBLE.outputs)
"""The outputs of every model."""
_EMPTY_CANVAS = np.zeros((1, 1), np.uint8)


class InfmapModel(abc.ABC):
    """A model that answers about radiographs; use it as a context manager.

    Parameters
    ----------
    release
        The release that gave the last answer; ``None`` when there was none.
    """

    release: int | None

    @abc.abstractmethod
    def config(self) -> pb.ModelConfig:
        """Triton's config of the model that gave the last answer, or that answers when there was none."""

    @abc.abstractmethod
    def answer(
        self,
        inputs: Mapping[str, NDArray[np.uint8]],
        outputs: Collection[str],
        where_served: Collection[str],
    ) -> dict[str, NDArray[Any]]:
        """Answer about a batch; see :meth:`infer`, whose outputs lack the batch dimension."""

    @abc.abstractmethod
    def close(self) -> None:
        """Let go of what it computes with, or of the connection to it."""

    def model(self) -> ModelIdentity:
        """Identity of the model that gave the last answer, or that answers when there was none.

        Raises
        ------
        ServerError
            When a server is asked that cannot be reached or serves no infmap ensemble.
        """
        return identity_of(self.config())

    def offered(self) -> tuple[str, ...]:
        """Outputs of that model; raises what :meth:`model` raises."""
        return tuple(output.name for output in self.config().output)

    def image_size(self) -> int:
        """Height and width in pixels of the pictures that model takes; raises what :meth:`model` raises."""
        inputs = self.config().input
        return next(int(one.dims[-1]) for one in inputs if one.name == IMAGE.name)

    def infer(
        self,
        image: NDArray[np.uint8],
        canvas: NDArray[np.uint8] | None = None,
        *,
        outputs: Collection[str] = _OUTPUTS,
        where_served: Collection[str] = (),
    ) -> dict[str, NDArray[Any]]:
        """Ask for some outputs of one radiograph; what is not asked for is not computed.

        Parameters
        ----------
        image
            (H, H) uint8 of :meth:`image_size`, from
            :func:`infmap_kit.imaging.network_input.network_input`.
        canvas
            (H, W) uint8 to paint the infection map on; not needed when no map is asked for.
        outputs
            Names of the ensemble's outputs.
        where_served
            Names of outputs that not every model has; they are asked of a model that has them.

        Returns
        -------
        dict
            Output name to array, without the batch dimension.

        Raises
        ------
        ServerError
            When the server cannot be reached, dies, is too slow, or refuses.
        ExportError
            When the engines of this process cannot compute.
        """
        canvas = _EMPTY_CANVAS if canvas is None else canvas
        inputs = {"IMAGE": image[np.newaxis], "CANVAS": canvas[np.newaxis]}
        return {name: one[0] for name, one in self.answer(inputs, outputs, where_served).items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def identity_of(config: pb.ModelConfig) -> ModelIdentity:
    """Identity of the model that an ensemble's config describes."""
    return ModelIdentity({key: one.string_value for key, one in config.parameters.items()})
