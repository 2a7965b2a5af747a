"""Target openvino: the ONNX graphs on OpenVINO in Triton's own backend, on CPUs."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infmap_kit.model.precision import Precision
from infmap_kit.targets.backends import BackendOptions, BackendTarget
from infmap_kit.targets.target import OpenedModel
from infmap_kit.triton.repository import Manifest, served_contract

if TYPE_CHECKING:
    from tritonclient.grpc import model_config_pb2 as pb

    from infmap_kit.gate.engines import Engine
    from infmap_kit.parts.contract import Contract

_HINT = "HINT_BF16"


@dataclasses.dataclass(frozen=True, kw_only=True)
class OpenvinoOptions(BackendOptions):
    """How OpenVINO runs the ensemble."""

    target = "openvino"
    precisions = (Precision.FP32, Precision.BF16)


class Openvino(BackendTarget):
    """Graphs that OpenVINO loads; it lowers their precision itself."""

    options = OpenvinoOptions
    backend = "openvino"

    def engine(self, path: Path, options: Any, *, network: bool) -> Engine:
        """Just as the backend compiles it; what is no network stays in FP32."""
        from infmap_kit.gate.engines import (
            OpenvinoEngine,
            openvino_precision,
            require_cpu_precision,
        )

        precision = options.precision if network else Precision.FP32
        require_cpu_precision(precision)
        return OpenvinoEngine(path, precision=openvino_precision(precision))

    def open(self, repository: Path, manifest: Manifest) -> OpenedModel:
        """As the server compiles them."""
        from infmap_kit.gate.engines import OpenvinoEngine
        from infmap_kit.triton.config import parse_config

        def engine(path: Path, *, network: bool) -> OpenvinoEngine:
            text = path.parents[1].joinpath("config.pbtxt").read_text(encoding="utf-8")
            half = parse_config(text).parameters[_HINT].string_value == "YES"
            return OpenvinoEngine(path, precision="bf16" if half else "f32")

        engines = self.opened(repository, manifest, engine)
        contract = served_contract(manifest)
        return OpenedModel(
            contract=contract,
            engines=engines,
            references=self.references(repository, manifest),
            inspected=engines[contract.networks[0].name].precisions(),
        )

    def config(self, config: pb.ModelConfig, options: Any, contract: Contract) -> None:
        """Ask for one radiograph's latency, and for bf16 where the networks have it."""
        networks = [network.name for network in contract.networks]
        parameters = {"PERFORMANCE_HINT": "LATENCY"}
        if options.precision is Precision.BF16 and config.name in networks:
            parameters[_HINT] = "YES"
        for key, value in parameters.items():
            config.parameters[key].string_value = value
