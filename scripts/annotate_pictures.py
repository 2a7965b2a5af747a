"""Draw docs/annotate-*.png: the pages of infmap-annotate over synthetic radiographs, in Debian's Chromium.

.venv/bin/python scripts/annotate_pictures.py
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from infmap_annotate.study.candidates import add_mask_folder
from infmap_annotate.study.collection import init_study
from infmap_annotate.study.folder import Rules, Study
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.model.files import write_bytes

SIZE = 640
COUNT = 12
WINDOW = {"width": 1200, "height": 760}
COLOURS = 224


def _wavy(mask: NDArray[np.uint8], seed: int, *, grown_px: int) -> NDArray[np.uint8]:
    """A mask as a network might have marked it: another rim, grown or shrunk."""
    random = np.random.default_rng(seed)
    waves = cv2.resize(
        random.normal(0, 9, (12, 12)), mask.shape[::-1], interpolation=cv2.INTER_CUBIC
    )
    inside = cv2.distanceTransform(mask, cv2.DIST_L2, 5)
    outside = cv2.distanceTransform(255 - mask, cv2.DIST_L2, 5)
    return np.where(inside - outside + grown_px + waves > 0, 255, 0).astype(np.uint8)


def _study(folder: Path) -> tuple[Path, str]:
    """A study of synthetic radiographs, and its reader's token."""
    data = folder / "data"
    models = {"first": 4, "second": -7, "third": 16}
    for part in (data / "images", data / "infection_masks", *(folder / name for name in models)):
        part.mkdir(parents=True)
    lines = ["name,file,class,group"]
    for number in range(COUNT):
        drawn = synthetic_radiograph(number, height=SIZE, width=SIZE)
        name, mask = f"case-{number}", drawn.infection_mask * 255
        lines.append(f"{name},images/{name}.png,covid,{name}")
        cv2.imwrite(str(data / "images" / f"{name}.png"), drawn.radiograph.pixels)
        cv2.imwrite(str(data / "infection_masks" / f"{name}.png"), mask)
        for seed, (model, grown_px) in enumerate(models.items()):
            marked = _wavy(mask, 10 * number + seed, grown_px=grown_px)
            cv2.imwrite(str(folder / model / f"{name}.png"), marked)
    (data / "index.csv").write_text("\n".join(lines) + "\n")
    tokens = init_study(
        folder / "study", data, first=["Dr. Example"], rules=Rules(draw_in_stage_one=True)
    )
    for model in models:
        add_mask_folder(Study(folder / "study"), model, 1, folder / model)
    return folder / "study", tokens["Dr. Example"]


def _keep(page: Page, name: str) -> None:
    """A page as docs/NAME.png, in few colours: a radiograph's noise is large in bytes."""
    with Image.open(io.BytesIO(page.screenshot())) as picture:
        small = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    content = io.BytesIO()
    small.save(content, "PNG", optimize=True)
    write_bytes(Path("docs") / f"{name}.png", content.getvalue())
    print(f"docs/{name}.png: {len(content.getvalue()) // 1024} KiB")


def _photograph(url: str, token: str) -> None:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport=WINDOW, color_scheme="dark")  # type: ignore[arg-type]
        page.goto(f"{url}/sign-in")
        page.get_by_label("Name").fill("Dr. Example")
        page.get_by_label("Token").fill(token)
        page.keyboard.press("Enter")
        for _ in range(3):
            page.wait_for_selector("body[data-state=ready]")
            page.keyboard.press("1")
            page.wait_for_timeout(300)
        page.wait_for_timeout(5000)  # until the toast is gone
        _keep(page, "annotate-candidates")
        page.keyboard.press("d")
        page.wait_for_selector("body[data-state=ready] #canvas")
        page.keyboard.press("2")
        page.keyboard.press("o")
        page.wait_for_timeout(5000)
        page.mouse.move(760, 330)
        _keep(page, "annotate-drawing")
        browser.close()


def main() -> None:
    """Make the study, serve it, and photograph its pages."""
    with tempfile.TemporaryDirectory() as folder:
        study, token = _study(Path(folder))
        command = [sys.executable, "-m", "infmap_annotate.cli", "serve", str(study), "--port", "0"]
        server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)  # noqa: S603
        try:
            line = server.stderr.readline() if server.stderr else ""
            found = re.search(r"http://127\.0\.0\.1:\d+", line)
            if found is None:
                raise SystemExit(f"the server did not start: {line}")
            _photograph(found[0], token)
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
