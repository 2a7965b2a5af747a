"""`infmap-kit infer` over good and bad files, as a user calls it."""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dicom_files import as_file, chest_dataset
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.results.journal import JOURNAL
from infmap_kit.triton.server.process import TritonServer
from odd_names import ODD_NAMES
from pictures import read_picture
from results import json_lines


def _infer(server: TritonServer, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "infmap_kit", "infer", *map(str, arguments)]
    return subprocess.run(
        [*command, "--url", server.grpc_url],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def _huge_png(path: Path) -> None:
    """A valid header of 20000x20000 pixels, and next to nothing behind it."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        crc = zlib.crc32(kind + content).to_bytes(4, "big")
        return len(content).to_bytes(4, "big") + kind + content + crc

    size = (20000).to_bytes(4, "big")
    header = chunk(b"IHDR", size + size + bytes([8, 0, 0, 0, 0]))
    rows = zlib.compress(b"\0" * 20001 * 100, 9)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b""))


@pytest.fixture(scope="module")
def chest() -> NDArray[np.uint8]:
    return synthetic_radiograph(5, height=600, width=500).radiograph.pixels


def test_bad_files_are_rejected_by_name_and_the_others_go_on(
    server: TritonServer, tmp_path: Path, chest: NDArray[np.uint8]
) -> None:
    pictures, output = tmp_path / "in", tmp_path / "out"
    (pictures / "inner").mkdir(parents=True)
    cv2.imwrite(str(pictures / "gray.png"), chest)
    cv2.imwrite(str(pictures / "sixteen.png"), chest.astype(np.uint16) * 257)
    rgba = np.dstack([chest, chest, chest, np.full_like(chest, 255)])
    cv2.imwrite(str(pictures / "rgba.png"), rgba)
    cv2.imwrite(str(pictures / "inner" / "film.tiff"), chest)
    cv2.imwrite(str(pictures / "film.jpg"), chest)
    jpeg = (pictures / "film.jpg").read_bytes()
    (pictures / "cut.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    (pictures / "empty.png").touch()
    (pictures / "text.png").write_text("no picture at all")
    cv2.imwrite(str(pictures / "dot.png"), np.zeros((1, 1), np.uint8))
    _huge_png(pictures / "huge.png")
    missing = tmp_path / "missing.png"

    done = _infer(server, pictures, missing, "--output", output, "--json")

    assert done.returncode == 6
    outcomes = {Path(outcome["source"]).name: outcome for outcome in json_lines(done.stdout)}
    rejected = {name: o["rejected"]["code"] for name, o in outcomes.items() if "rejected" in o}
    assert rejected == {
        "cut.jpg": "truncated",
        "empty.png": "empty",
        "text.png": "unknown-format",
        "dot.png": "too-small",
        "huge.png": "too-large",
        "missing.png": "missing",
    }
    accepted = {"gray", "sixteen", "rgba", "film"}
    written = {path.name for path in output.iterdir()} - {JOURNAL}
    assert written == {f"{name}.json" for name in accepted} | {
        f"{name}.infection_map.png" for name in accepted
    } | {"film_tiff.json", "film_tiff.infection_map.png"}
    for name in accepted:
        painted = read_picture(output / f"{name}.infection_map.png")
        assert painted.shape == (600, 500, 3), "at the picture's own resolution"
    lossless = [
        json.loads((output / f"{name}.json").read_text()) for name in ("gray", "sixteen", "rgba")
    ]
    assert len({document["probability_max"] for document in lossless}) == 1
    assert lossless[0]["model"]["network"] == "U-Net EfficientNet-Lite0"
    assert lossless[0]["severity_of"] == "image"
    for name in rejected:
        assert name in done.stderr, "a person sees which file and why"


def test_files_of_any_name_are_answered(
    server: TritonServer, tmp_path: Path, chest: NDArray[np.uint8]
) -> None:
    pictures, output = tmp_path / "in", tmp_path / "out"
    pictures.mkdir()
    png = cv2.imencode(".png", chest)[1].tobytes()
    for name in ODD_NAMES:
        (pictures / name).write_bytes(png)
    (pictures / "broken\n\udcfc.png").write_text("no picture")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "infmap_kit", "infer", pictures, "--output", output),
            *("--url", server.grpc_url, "--json"),
        ],
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 6, done.stderr.decode()
    rejected, error = done.stderr.decode().splitlines()
    assert r"broken\n\xfc.png: expected PNG" in rejected
    assert error.startswith("error: 1 of ")
    answered = [one for one in json_lines(done.stdout) if "rejected" not in one]
    assert {Path(one["source"]).name for one in answered} == set(ODD_NAMES)
    assert all(Path(one["infection_map"]).is_file() for one in answered)
    assert len(list(output.glob("*.json"))) == len(ODD_NAMES)


def test_real_dicom_radiographs(
    server: TritonServer, tmp_path: Path, chest_dicoms: list[Path]
) -> None:
    assert chest_dicoms
    done = _infer(server, *chest_dicoms, "--output", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    for outcome in json_lines(done.stdout):
        painted = read_picture(outcome["infection_map"])
        assert min(painted.shape[:2]) > 1000
        assert set(outcome["timings_ms"]) == {"decode", "resize", "served", "encode_png"}


def test_an_infected_pixel_is_coloured_and_zero_probability_is_untouched(
    server: TritonServer, tmp_path: Path, chest: NDArray[np.uint8]
) -> None:
    cv2.imwrite(str(tmp_path / "chest.png"), chest)
    done = _infer(server, tmp_path / "chest.png", "--output", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    painted = read_picture(tmp_path / "out" / "chest.infection_map.png")
    assert painted.max(axis=2).astype(int) == pytest.approx(chest.astype(int), abs=1)


def test_a_folder_without_pictures_is_said(server: TritonServer, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    done = _infer(server, tmp_path / "nothing", "--output", tmp_path / "out")
    assert done.returncode == 6
    assert "nothing" in done.stderr
    assert not (tmp_path / "out").exists()


def test_without_a_server_nothing_is_written(tmp_path: Path, chest: NDArray[np.uint8]) -> None:
    cv2.imwrite(str(tmp_path / "chest.png"), chest)
    command = [sys.executable, "-m", "infmap_kit", "infer", str(tmp_path / "chest.png")]
    done = subprocess.run(
        [*command, "--output", str(tmp_path / "out"), "--url", "127.0.0.1:9"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert (
        done.stderr.strip().splitlines()[-1].startswith("error: no server answers at 127.0.0.1:9")
    )
    assert not (tmp_path / "out").exists()


def test_what_a_chest_looks_like_is_warned_of(
    server: TritonServer, tmp_path: Path, chest: NDArray[np.uint8]
) -> None:
    pictures, written_upon = tmp_path / "in", chest.copy()
    cv2.putText(written_upon, "PORTABLE", (80, 250), cv2.FONT_HERSHEY_SIMPLEX, 1.2, 255, 3)
    pictures.mkdir()
    shown = {"right": chest, "text": written_upon, "wrong": np.ascontiguousarray(chest[:, ::-1])}
    for name, pixels in shown.items():
        cv2.imwrite(str(pictures / f"{name}.png"), pixels)
        (pictures / f"{name}.dcm").write_bytes(as_file(chest_dataset(pixels)))

    done = _infer(server, pictures, "--output", tmp_path / "out", "--json")

    assert done.returncode == 0, done.stderr
    codes = [[one["code"] for one in outcome["warnings"]] for outcome in json_lines(done.stdout)]
    # In the order of the files, DICOM before PNG.
    assert codes == [[], [], *2 * [["burned-in"]], *2 * [["possibly-mirrored"]]]
    said = [line.split("  ")[0] for line in done.stderr.splitlines()]
    assert [said.count(code) for code in ("burned-in", "possibly-mirrored")] == [2, 2]
    assert "something white is possibly drawn over the lungs" in done.stderr
