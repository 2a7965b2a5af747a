"""Draw docs/infection-map.png: a synthetic radiograph, and what a running server made of it.

infmap-kit serve &
.venv/bin/python scripts/readme_picture.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.model.files import write_bytes
from infmap_kit.triton.client import DEFAULT_URL, InfmapClient

SIZE = 480


def main(url: str, seed: int) -> None:
    """Ask the server at ``url`` and write the picture."""
    drawn = synthetic_radiograph(seed, height=SIZE, width=SIZE)
    pixels = drawn.radiograph.pixels
    with InfmapClient(url) as client:
        answer = client.infer(network_input(pixels), pixels)
    painted = answer["INFECTION_MAP"]
    gap = np.full((SIZE, 12, 3), 255, np.uint8)
    sheet = np.hstack([np.repeat(pixels[..., np.newaxis], 3, axis=2), gap, painted])
    png = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))[1].tobytes()
    write_bytes(Path("docs/infection-map.png"), png)
    truth = network_input(drawn.infection_mask * 255) >= 128
    found = answer["PROBABILITY"] >= 0.5
    dice = 2 * (truth & found).sum() / max(1, truth.sum() + found.sum())
    print(
        f"seed {seed}: detected {bool(answer['DETECTED'])}, Dice against the drawn mask {dice:.2f}"
    )


if __name__ == "__main__":
    main(
        url=sys.argv[1] if len(sys.argv) > 1 else DEFAULT_URL,
        seed=int(sys.argv[2]) if len(sys.argv) > 2 else 0,
    )
