"""The committed config.pbtxt of Triton's own backends: `python tests/golden_configs.py` writes them anew."""

from __future__ import annotations

from pathlib import Path

from infmap_kit.triton.backends import BackendOptions, backend_configs
from infmap_kit.triton.config import Precision, Target, config_text

FOLDER = Path(__file__).parent / "data" / "golden"

OPTIONS = {
    "tensorrt": BackendOptions(target=Target.TENSORRT),
    "onnxruntime": BackendOptions(target=Target.ONNXRUNTIME),
    "onnxruntime-accelerator": BackendOptions(
        target=Target.ONNXRUNTIME, precision=Precision.FP16, accelerator=True
    ),
    "openvino": BackendOptions(target=Target.OPENVINO, precision=Precision.BF16),
}


def golden_texts() -> dict[str, str]:
    """Path below the folder to what belongs there."""
    return {
        f"{case}/{name}/config.pbtxt": config_text(config)
        for case, options in OPTIONS.items()
        for name, config in backend_configs(options, {"model_name": "golden"}).items()
    }


if __name__ == "__main__":
    for name, text in golden_texts().items():
        path = FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
