"""The committed config.pbtxt of Triton's own backends: `python tests/golden_configs.py` writes them anew."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tritonclient.grpc import model_config_pb2 as pb

from infmap_kit.model.precision import Precision
from infmap_kit.parts.contract import PLAIN, Contract
from infmap_kit.targets.backend_configs import backend_configs
from infmap_kit.targets.backends import BackendOptions, BackendTarget
from infmap_kit.targets.embedded import EmbeddedOptions
from infmap_kit.targets.embedded_configs import embedded_configs
from infmap_kit.targets.onnxruntime import OnnxruntimeOptions
from infmap_kit.targets.openvino import OpenvinoOptions
from infmap_kit.targets.registry import find
from infmap_kit.targets.tensorrt import TensorrtOptions
from infmap_kit.triton.config import config_text

_IDENTITY = {"model_name": "golden"}
FOLDER = Path(__file__).parent / "data" / "golden"

OPTIONS: dict[str, BackendOptions] = {
    "tensorrt": TensorrtOptions(),
    "onnxruntime": OnnxruntimeOptions(),
    "onnxruntime-accelerator": OnnxruntimeOptions(precision=Precision.FP16, accelerator=True),
    "openvino": OpenvinoOptions(precision=Precision.BF16),
}

USUAL = Contract(summary=True)
LUNGS = Contract(("lungs",), summary=True)
CASES = {
    **{name: (options, USUAL) for name, options in OPTIONS.items()},
    **{f"{name}-lungs": (OPTIONS[name], LUNGS) for name in ("tensorrt", "onnxruntime", "openvino")},
    "openvino-classifier": (OPTIONS["openvino"], Contract(("classifier",), summary=True)),
}
"""Folder to what is exported with which parts."""


def configs_of(
    options: BackendOptions, identity: Mapping[str, str], contract: Contract = PLAIN
) -> dict[str, pb.ModelConfig]:
    """What the options' own target writes."""
    target = find(options.target)
    assert isinstance(target, BackendTarget)
    return backend_configs(target, options, identity, contract)


def golden_texts() -> dict[str, str]:
    """Path below the folder to what belongs there."""
    configs = {
        case: configs_of(options, _IDENTITY, contract)
        for case, (options, contract) in CASES.items()
    }
    configs["embedded-lungs"] = embedded_configs(EmbeddedOptions(), _IDENTITY, LUNGS)
    return {
        f"{case}/{name}/config.pbtxt": config_text(config)
        for case, models in configs.items()
        for name, config in models.items()
    }


if __name__ == "__main__":
    for name, text in golden_texts().items():
        path = FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
