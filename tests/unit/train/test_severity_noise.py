"""`severity-noise`: how far severities go by themselves, of a network whose severities are known by hand."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnx.parser
import pytest
from typer.testing import CliRunner

from infmap_kit.cli import app as kit
from infmap_kit.errors import SpecError, TrainingError
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.model.severity_noise import Reach, SeverityNoise, Variation
from infmap_kit.release.export import publish
from infmap_kit.release.source import read_source
from infmap_kit.results.infer import InferenceRun
from infmap_kit.serving.in_process import open_repository
from infmap_kit.targets.embedded import EmbeddedOptions
from infmap_train.cli.app import app
from infmap_train.studies.severity_noise import measure_severity_noise, reach_of
from script_modules import load_script
from small_network import small_lung_run, small_run

SIZE = 224
VARIATION = Variation(variants=60, seed=3)

_BRIGHT = """
<ir_version: 9, opset_import: ["" : 18]>
bright (uint8[N, 224, 224] IMAGE) => (float[N, 224, 224] PROBABILITY)
<float half = {127.5}>
{
    gray = Cast <to = 1> (IMAGE)
    logit = Sub (gray, half)
    PROBABILITY = Sigmoid (logit)
}
"""


def bright_network() -> onnx.ModelProto:
    """What is brighter than half is infected: the severity is the share of such pixels."""
    return onnx.parser.parse_model(_BRIGHT)


@pytest.fixture
def banded(tmp_path: Path) -> tuple[Path, Path]:
    """A run, and radiographs whose left quarter, which touches the rim, is infected.

    Moved to the right by 1 % of the width it takes 1 % more of the picture, since what moves in repeats the
    rim. The right lung is infected by half wherever it is moved to, the left one nowhere.
    """
    run, data = small_run(tmp_path / "run", bright_network()), tmp_path / "data"
    for name in ("images", "infection_masks", "lung_masks"):
        (data / name).mkdir(parents=True)
    infected, lungs = np.zeros((2, SIZE, SIZE), np.uint8)
    infected[:, : SIZE // 4] = 255
    lungs[40:180, SIZE // 8 : 3 * SIZE // 8] = lungs[40:180, 5 * SIZE // 8 : 7 * SIZE // 8] = 255
    names = [f"a{number:02}" for number in range(30)]
    with (data / "index.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "file", "class", "group"])
        for number, name in enumerate(names):
            cv2.imwrite(str(data / "images" / f"{name}.png"), np.maximum(infected, 20))
            cv2.imwrite(str(data / "infection_masks" / f"{name}.png"), infected)
            if number % 6:
                cv2.imwrite(str(data / "lung_masks" / f"{name}.png"), lungs)
            writer.writerow([name, f"images/{name}.png", "covid", name])
        # Never asked for: it was trained on, and its severity would move much farther.
        cv2.imwrite(str(data / "images" / "seen.png"), np.eye(SIZE, dtype=np.uint8) * 255)
        cv2.imwrite(str(data / "infection_masks" / "seen.png"), infected)
        writer.writerow(["seen", "images/seen.png", "covid", "seen"])
    (run / "split.json").write_text(json.dumps({"train": ["seen"], "held_back": names}))
    return run, data


def _by_hand(variation: Variation) -> tuple[float, float]:
    """The middle 95 % of the shifts to the right that the seed draws, in percent of the width."""
    random = np.random.default_rng(variation.seed)
    right = np.array([random.uniform(-1, 1, 4)[0] for _ in range(variation.variants)])
    low, high = np.quantile(right * variation.shift_percent, (0.025, 0.975)).tolist()
    return -low, high


def test_what_shifts_do_is_measured_as_by_hand(banded: tuple[Path, Path]) -> None:
    run, data = banded
    done = CliRunner().invoke(
        app,
        [
            *("severity-noise", str(run), "--data", str(data), "--json"),
            *("--variants", "60", "--seed", "3"),
        ],
    )
    assert done.exit_code == 0, done.output
    document = json.loads((run / "severity_noise.json").read_text())
    assert json.loads(done.stdout) == document
    stated = SeverityNoise.parse(document["severity_noise"])
    assert stated.variation == VARIATION
    # A column of pixels is 0.45 %, and so much the edge of a moved band may be off.
    image = stated.reach["image"]
    assert (image.down, image.up) == pytest.approx(_by_hand(VARIATION), abs=0.45)
    assert image.radiographs == 30
    # Were the lungs left where they are, the half that is infected would go up by 8 points and down by 7.
    right = stated.reach["right"]
    assert max(right.down, right.up) < 2.5, "moved along"
    assert right.radiographs == stated.reach["lungs"].radiographs == 25
    assert stated.reach["lungs"].up == pytest.approx(right.up / 2, abs=0.5)
    assert stated.reach["left"] == Reach(0, 0, 25)
    assert document["drawn_from"] == 30


def test_few_radiographs_are_drawn_by_the_seed(banded: tuple[Path, Path]) -> None:
    document = measure_severity_noise(*banded, radiographs=20, variation=VARIATION)
    assert document["percentage_points"]["image"]["radiographs"] == 20
    assert document["drawn_from"] == 30
    # Too few of them have lungs for what 95 % do not exceed.
    assert set(document["percentage_points"]) == {"image"}


def test_95_percent_of_the_radiographs_do_not_exceed_it() -> None:
    for count, expected in ((20, 19), (50, 48), (100, 95)):
        reaches = [(float(n), float(count - n)) for n in range(1, count + 1)]
        reach = reach_of(reaches)
        assert (reach.down, reach.up, reach.radiographs) == (expected, expected - 1, count)


def test_too_few_are_refused_with_the_way_out(banded: tuple[Path, Path]) -> None:
    run, data = banded
    (run / "split.json").write_text(json.dumps({"train": [], "held_back": ["a00", "a01"]}))
    with pytest.raises(TrainingError, match=r"at least 20 .* found 2 in .*--all"):
        measure_severity_noise(run, data)
    (run / "split.json").unlink()
    with pytest.raises(SpecError, match="--all"):
        measure_severity_noise(run, data)


def test_a_network_of_the_lungs_has_none(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="networks that segment the infection"):
        measure_severity_noise(small_lung_run(tmp_path / "run"), tmp_path)


def test_a_served_model_states_it_and_progression_calls_a_change_by_it(
    banded: tuple[Path, Path], tmp_path: Path
) -> None:
    run, data = banded
    measure_severity_noise(run, data, variation=VARIATION)
    options = EmbeddedOptions()
    publish(read_source(run), tmp_path / "r", options, pictures=_band(30))
    files = []
    for number, percent in enumerate((25, 26, 40)):
        ((_, pixels),) = _band(percent)
        files.append(tmp_path / f"day{number}.png")
        cv2.imwrite(str(files[-1]), pixels)
    with open_repository(tmp_path / "r") as model:
        outcomes = list(InferenceRun(files, tmp_path / "maps", model))
    assert [outcome.document["severity_percent"] for outcome in outcomes] == [
        25.0,
        25.8929,
        40.1786,
    ]
    times = tmp_path / "times.csv"
    times.write_text("file,time\n" + "".join(f"day{n}.png,2026-01-0{n + 1}\n" for n in range(3)))
    course = _progression(tmp_path / "maps", times)
    assert course["noise_from"] == "model"
    assert "30 radiographs with the finding that it was not trained on" in course["noise"]
    verdicts = [one["since_before"].get("total", {}).get("verdict") for one in course["results"]]
    assert verdicts == [None, "within noise", "rise"]
    # Without a word of the model's, nothing is called a change.
    for path in (tmp_path / "maps").glob("*.json"):
        result = json.loads(path.read_text())
        del result["model"]["severity_noise"]
        path.write_text(json.dumps(result))
    silent = _progression(tmp_path / "maps", times)
    assert silent["noise_from"] is None
    assert silent["since_first"]["total"]["verdict"] == "noise not measured"


def _band(percent: int) -> list[tuple[str, Any]]:
    """A drawn chest, too dark to be infected, with a band that is."""
    pixels = synthetic_radiograph(1, height=SIZE, width=SIZE).radiograph.pixels // 2
    pixels[:, : round(SIZE * percent / 100)] = 255
    return [(f"{percent}", pixels)]


def _progression(maps: Path, times: Path) -> dict[str, Any]:
    done = CliRunner().invoke(
        kit, ["progression", "report", str(maps), "--times", str(times), "--json"]
    )
    assert done.exit_code == 0, done.output
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_a_packed_run_carries_it_along(banded: tuple[Path, Path], tmp_path: Path) -> None:
    run, data = banded
    measure_severity_noise(run, data, variation=VARIATION)
    (run / "history.csv").write_text("epoch\n1\n")
    (tmp_path / "packed").mkdir()
    load_script("pack_demo_model").main(run, data, tmp_path / "packed")
    packed = read_source(tmp_path / "packed")
    assert packed.identity["severity_noise"] == read_source(run).identity["severity_noise"]
