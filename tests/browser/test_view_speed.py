"""How quickly results are there and move: bounds that hold on a machine of two cores that does nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import BrowserContext, Page

from view_results import shown, write_dicom, write_many, write_results

pytestmark = pytest.mark.alone


def test_a_gallery_of_5000_opens_in_two_seconds_and_scrolls_without_a_stall(
    context: BrowserContext, tmp_path: Path
) -> None:
    write_many(tmp_path / "out", 5000)
    with shown(tmp_path / "out") as address:
        page = context.new_page()
        page.goto(address)
        page.wait_for_selector("body[data-state=ready] li")
        opened_ms = page.evaluate("performance.now()")
        assert page.locator("li").count() < 100, (
            "as many cards as the window shows, not as there are results"
        )
        frames_ms = page.evaluate(
            """async () => {
              const list = document.querySelector('.window');
              const frames = [];
                  let before = performance.now();
              for (let i = 0; i < 120; i++) {
                list.scrollTop += 700;
                await new Promise(requestAnimationFrame);
                const now = performance.now();
                if (i > 2) frames.push(now - before);
                before = now;
              }
              return frames.sort((a, b) => b - a);
            }"""
        )
    assert opened_ms < 2000
    # One or two long frames are this machine's; a page that stalls does so again and again.
    assert frames_ms[2] < 200, frames_ms[:10]
    assert frames_ms[len(frames_ms) // 2] < 50, "the middle of all frames"


def _frame_ms(page: Page, slider: str) -> float:
    """While a slider is dragged, a step a frame: the median from one picture to the next."""
    times = page.evaluate(
        """async (id) => {
          const slider = document.getElementById(id);
          const [least, most] = [Number(slider.min), Number(slider.max)];
          const times = [];
          let before = await new Promise(requestAnimationFrame);
          for (let i = 1; i <= 30; i++) {
            slider.value = least + (most - least) * (0.2 + 0.02 * i);
            slider.dispatchEvent(new Event('input'));
            const now = await new Promise(requestAnimationFrame);
            times.push(now - before);
            before = now;
          }
          return times;
        }""",
        slider,
    )
    return float(np.median(times))


def test_a_radiograph_of_3000_pixels_follows_every_slider(
    context: BrowserContext, tmp_path: Path
) -> None:
    write_dicom(tmp_path / "chest.dcm", size=(3000, 3000))
    write_results(tmp_path / "out", [tmp_path / "chest.dcm"])
    with shown(tmp_path / "out") as address:
        page = context.new_page()
        page.set_viewport_size({"width": 1600, "height": 900})
        page.goto(address)
        page.wait_for_selector("body[data-state=ready] li")
        page.locator("li a").first.click()
        page.wait_for_selector("#viewing:not([hidden])")
        page.wait_for_selector("body[data-state=ready]")
        page.wait_for_timeout(500)
        sliders = ("divider", "opacity", "threshold", "window", "level")
        times = {name: _frame_ms(page, name) for name in sliders}
    assert max(times.values()) < 50, times
