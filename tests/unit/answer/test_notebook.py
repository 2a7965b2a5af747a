"""An answer in a notebook: what it shows, and that it shows nothing else."""

from __future__ import annotations

import base64
import re

import cv2
import numpy as np
import pytest

from findings import MODEL, made_up, with_lungs
from infmap_kit.answer.notebook import SHOWN_PIXELS
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.model.identity import ModelIdentity


def _pictures(shown: str) -> list[cv2.typing.MatLike]:
    encoded = re.findall(r'src="data:image/png;base64,([^"]+)"', shown)
    content = [np.frombuffer(base64.b64decode(one), np.uint8) for one in encoded]
    return [one for one in (cv2.imdecode(c, cv2.IMREAD_COLOR) for c in content) if one is not None]


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(300, 200, (300, 200)), (2048, 1024, (SHOWN_PIXELS, SHOWN_PIXELS // 2))],
)
def test_the_map_is_shown_whole_and_never_larger_than_needed(
    height: int, width: int, expected: tuple[int, int]
) -> None:
    radiograph = synthetic_radiograph(1, height=height, width=width).radiograph
    answer = made_up(radiograph)
    assert answer.infection_map is not None
    (picture,) = _pictures(answer._repr_html_())
    assert picture.shape == (*expected, 3)
    # The colours are those of the map, red for red.
    mean = answer.infection_map.reshape(-1, 3).mean(axis=0)
    assert np.allclose(picture.reshape(-1, 3).mean(axis=0)[::-1], mean, atol=1)


def test_figures_stand_beside_it() -> None:
    radiograph = synthetic_radiograph(1, height=300, width=200).radiograph
    plain = made_up(radiograph, classifier_probability=0.123)
    shown = plain._repr_html_()
    for text in ("COVID-19", "detected", "0.930", f"{plain.severity_percent:.1f}", "of the image",
                 "classifier, disagrees", "0.123", MODEL["model_version"], "not a medical device"):  # fmt: skip
        assert text in shown
    assert "grade" not in shown
    graded = with_lungs(radiograph)
    shown = graded._repr_html_()
    for text in (f"{graded.severity_percent:.1f}", "of the lungs", "grade", str(graded.grade)):
        assert text in shown


def test_without_a_map_there_is_no_picture() -> None:
    radiograph = synthetic_radiograph(1, height=300, width=200).radiograph
    shown = made_up(radiograph, infection_map=None)._repr_html_()
    assert "<img" not in shown
    assert "0.930" in shown


def test_a_models_name_does_nothing_in_the_page() -> None:
    radiograph = synthetic_radiograph(1, height=300, width=200).radiograph
    model = ModelIdentity({**MODEL, "model_name": "<script>alert(1)</script>"})
    shown = made_up(radiograph, model=model)._repr_html_()
    assert "<script" not in shown
    assert "&lt;script&gt;" in shown
