"""The committed config.pbtxt of Triton's own backends: `python tests/golden_configs.py` writes them anew."""

from __future__ import annotations

from pathlib import Path

from infmap_kit.parts.contract import PLAIN, Contract
from infmap_kit.targets.backend_configs import BackendOptions, backend_configs
from infmap_kit.triton.config import (
    EmbeddedOptions,
    Precision,
    Target,
    config_text,
    embedded_configs,
)

_IDENTITY = {"model_name": "golden"}
FOLDER = Path(__file__).parent / "data" / "golden"

OPTIONS = {
    "tensorrt": BackendOptions(target=Target.TENSORRT),
    "onnxruntime": BackendOptions(target=Target.ONNXRUNTIME),
    "onnxruntime-accelerator": BackendOptions(
        target=Target.ONNXRUNTIME, precision=Precision.FP16, accelerator=True
    ),
    "openvino": BackendOptions(target=Target.OPENVINO, precision=Precision.BF16),
}

LUNGS = Contract(("lungs",))
CASES = {
    **{name: (options, PLAIN) for name, options in OPTIONS.items()},
    **{f"{name}-lungs": (OPTIONS[name], LUNGS) for name in ("tensorrt", "onnxruntime", "openvino")},
    "openvino-classifier": (OPTIONS["openvino"], Contract(("classifier",))),
}
"""Folder to what is exported with which parts."""


def golden_texts() -> dict[str, str]:
    """Path below the folder to what belongs there."""
    configs = {
        case: backend_configs(options, _IDENTITY, contract)
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
