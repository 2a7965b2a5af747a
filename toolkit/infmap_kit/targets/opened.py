"""A published repository whose engines were opened in this process."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from infmap_kit.gate.engines import Engine
from infmap_kit.gate.runners import EngineRunner
from infmap_kit.model.contract import Contract


@dataclasses.dataclass(frozen=True, kw_only=True)
class OpenedModel:
    """The graphs of a repository, ready to compute here as its server computes them.

    Parameters
    ----------
    contract
        What is served.
    engines
        By the graph's name, every graph behind the ensemble.
    references
        The trained networks in FP32 as ONNX, by name, where the repository keeps them.
    inspected
        Type to number of the infection network's convolutions that compute in it, where that is known.
    """

    contract: Contract
    engines: Mapping[str, Engine]
    references: Mapping[str, Path] = dataclasses.field(default_factory=dict)
    inspected: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @property
    def runner(self) -> EngineRunner:
        """All of them, one after the other."""
        return EngineRunner(self.engines, self.contract)


def part_name(network: str) -> str:
    """What records call a network beside the infection's: ``lungs`` for ``lung_segmentation``."""
    return network.removesuffix("_segmentation") + "s"


def manifest_key(network: str, key: str) -> str:
    """Where a manifest says something of a network: ``int8``, and ``lung_int8`` of the lungs'."""
    return network.removesuffix("segmentation") + key
