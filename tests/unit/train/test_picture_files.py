"""One file is one picture: training, annotation and serving decode it to the same pixels."""

from __future__ import annotations

import csv
import dataclasses
import io
import logging
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

pytest.importorskip("sklearn", reason="the training extra is not installed")

from dicom_files import as_file, chest_dataset, drawn_chest
from doctors import decoded
from infmap_annotate.reading.worklist import Item
from infmap_annotate.study.collection import init_study
from infmap_annotate.study.folder import Study
from infmap_annotate.study.predict import predict_by_runs
from infmap_annotate.web.pictures import PictureCache
from infmap_kit.errors import InputRejected, TrainingError
from infmap_kit.imaging.explain import explain_dicom
from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.radiograph import InputWarning, Radiograph
from infmap_kit.imaging.readers import decode, decode_radiograph, read_content, read_radiograph
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.model.files import write_json
from infmap_kit.model.spec import ModelSpec, NetworkSpec
from infmap_kit.node import worker
from infmap_kit.node.config import Rule
from infmap_kit.node.queue.states import Job
from infmap_train.data.dataset import Sample, load, read_index
from infmap_train.data.layouts import open_dataset
from pictures import read_picture


def _chest() -> NDArray[np.uint8]:
    return synthetic_radiograph(3, height=320, width=260).radiograph.pixels


def _png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def _twelve_bits() -> bytes:
    return _png(Image.fromarray(drawn_chest()))


def _transparent() -> bytes:
    alpha = np.full_like(_chest(), 255)
    alpha[:, :60] = 90
    return _png(Image.fromarray(np.dstack([_chest()] * 3 + [alpha]), "RGBA"))


def _palette() -> bytes:
    picture = Image.fromarray(255 - _chest(), "P")
    picture.putpalette(bytes(level for index in range(256) for level in [255 - index] * 3))
    return _png(picture)


def _turned_jpeg() -> bytes:
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    Image.fromarray(np.ascontiguousarray(np.rot90(_chest()))).save(file, "JPEG", exif=exif)
    return file.getvalue()


def _dicom() -> bytes:
    return as_file(chest_dataset(4095 - drawn_chest(), PhotometricInterpretation="MONOCHROME1"))


def _plain_set(folder: Path, pictures: dict[str, bytes]) -> Path:
    """Write a data set of the plain layout; every radiograph is a normal one but the first."""
    (folder / "infection_masks").mkdir(parents=True)
    rows = [["name", "file", "class"]]
    for place, (name, content) in enumerate(pictures.items()):
        (folder / name).write_bytes(content)
        rows.append([Path(name).stem, name, "normal" if place else "covid"])
    first = next(iter(pictures))
    size = decode_radiograph(pictures[first], first).pixels.shape
    cv2.imwrite(str(folder / "infection_masks" / f"{Path(first).stem}.png"), np.zeros(size))
    with (folder / "index.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return folder


def _predicted_on(study: Study, run: Path) -> NDArray[np.uint8]:
    """What a network is shown that predicts masks of a study with one COVID-19 radiograph."""
    run.mkdir()
    network = NetworkSpec.parse("unet/densenet121")
    ModelSpec(name="n", version="1", network=network, files={}).write(run / "spec.json")
    write_json(run / "split.json", {"train": [], "held_back": []})
    shown: list[NDArray[np.uint8]] = []

    def answer(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        shown.append(images)
        return np.zeros(images.shape, np.float32)

    predict_by_runs(study, "network", 1, [run], load=lambda _folder: answer)
    (images,) = shown
    assert len(images) == 1
    image: NDArray[np.uint8] = images[0]
    return image


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("twelve-bits.png", _twelve_bits),
        ("transparent.png", _transparent),
        ("palette.png", _palette),
        ("turned.jpg", _turned_jpeg),
        ("chest.dcm", _dicom),
    ],
)
def test_training_and_annotation_see_what_serving_sees(
    name: str, make: Callable[[], bytes], tmp_path: Path
) -> None:
    served = decode_radiograph(make(), name).pixels
    assert served.shape == (320, 260)
    data = _plain_set(
        tmp_path / "data", {name: make(), "other.png": _png(Image.fromarray(_chest()))}
    )

    trained = load(read_index(data)).images[0]
    np.testing.assert_array_equal(trained, network_input(served))

    init_study(tmp_path / "study", data, first=["anna"])
    study = Study(tmp_path / "study")
    picture = study.pictures()[0]
    assert (picture.height, picture.width) == served.shape
    np.testing.assert_array_equal(_predicted_on(study, tmp_path / "run"), network_input(served))
    pictures_of_study = PictureCache(study)
    shown = pictures_of_study.get(Item("item", 1, picture, (), open_choice=False)).image
    pictures_of_study.close()
    assert shown is not None
    np.testing.assert_array_equal(decoded(shown), served)


@st.composite
def _files(draw: st.DrawFn) -> tuple[str, bytes]:
    """A PNG, TIFF or DICOM of any bits, polarity, window and orientation, whole or cut or of no chest."""
    gray = np.asarray(draw(st.sampled_from([drawn_chest(), drawn_chest(seed=4)])))
    if draw(st.booleans()):
        gray = 4095 - gray
    kind = draw(st.sampled_from(["png", "tiff", "dcm"]))
    if kind == "dcm":
        tags = {
            "PhotometricInterpretation": draw(st.sampled_from(["MONOCHROME1", "MONOCHROME2"])),
            "WindowCenter": draw(st.sampled_from([300, 2048, 9000])),
            "WindowWidth": draw(st.sampled_from([200, 4096])),
            "BodyPartExamined": draw(st.sampled_from(["CHEST", "HAND", "RIBS"])),
            "PatientOrientation": draw(st.sampled_from([["L", "F"], ["R", "F"], ["F", "L"]])),
        }
        content = as_file(chest_dataset(gray, **tags))
    else:
        array = gray if draw(st.booleans()) else (gray >> 4).astype(np.uint8)
        content = cv2.imencode(f".{kind}", array)[1].tobytes()
    kept = draw(st.sampled_from([1.0, 1.0, 1.0, 0.6]))
    return f"chest.{kind}", content[: int(kept * len(content))]


_Judged = tuple[NDArray[np.uint8] | None, tuple[InputWarning, ...], str]


def _judged(read: Callable[[], Radiograph]) -> _Judged:
    """What the network is shown of a file, its warnings, and why it was refused instead."""
    try:
        radiograph = read()
    except InputRejected as rejection:
        return None, (), f"{rejection.code}: {rejection.reason}"
    return network_input(radiograph.pixels), radiograph.warnings, ""


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(_files())
def test_whatever_is_decoded_is_the_same_everywhere(
    tmp_path: Path, file: tuple[str, bytes]
) -> None:
    name, content = file
    path = tmp_path / name
    path.write_bytes(content)
    served, warnings, refusal = _judged(lambda: decode_radiograph(read_content(path), name))
    job = Job(image_id=1, file=name, caller="A", sop_instance_uid="1.2")
    rule = Rule(name="all", model="covid", to=[])
    # The node, and the noise of `progression`.
    for read in (lambda: worker._decoded(content, job, rule), lambda: read_radiograph(path)):
        shown, *others = _judged(read)
        assert others == [warnings, refusal]
        np.testing.assert_array_equal(shown, served)
    # `inspect` tells the same story of a DICOM file.
    if name.endswith("dcm"):
        told = explain_dicom(path)
        rejected = told["rejected"]
        assert (f"{rejected['code']}: {rejected['reason']}" if rejected else "") == refusal
        if served is not None:
            assert told["warnings"] == [dataclasses.asdict(warning) for warning in warnings]
    # Training and annotation take what can be decoded at all, and say of the rest what serving says.
    sample = Sample(name="chest", image=path, covid=False, group="chest")
    plain, _, cannot = _judged(lambda: decode(content, name))
    if plain is None:
        assert cannot == refusal
        with pytest.raises(TrainingError, match=re.escape(cannot.partition(": ")[2])):
            load([sample])
        return
    trained = load([sample])
    np.testing.assert_array_equal(trained.images[0], plain)
    if served is None:
        assert trained.doubts == (f"chest: {refusal.partition(': ')[2]}",)
    else:
        np.testing.assert_array_equal(trained.images[0], served)
        assert trained.doubts == tuple(f"chest: {warning.text}" for warning in warnings)


def test_what_serving_would_refuse_is_trained_on_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A data set that could be trained on stays one; what is odd about it is said."""
    chest = _chest()
    painted = cv2.applyColorMap(chest, cv2.COLORMAP_JET)
    pages = io.BytesIO()
    # Another picture: the same one of two classes is refused.
    page = Image.fromarray(chest // 2 + 64)
    page.save(pages, "TIFF", save_all=True, append_images=[page])
    odd = {
        "negative.png": _png(Image.fromarray(255 - chest)),
        "painted.png": cv2.imencode(".png", painted)[1].tobytes(),
        "pages.tif": pages.getvalue(),
    }
    data = _plain_set(tmp_path / "data", {"fine.png": _png(Image.fromarray(chest)), **odd})
    with caplog.at_level(logging.INFO, "infmap_train"):
        pictures = open_dataset(data, folds=1)
    for row, (name, content) in enumerate(odd.items(), start=1):
        with pytest.raises(InputRejected) as refused:
            decode_radiograph(content, name)
        assert f"{Path(name).stem}: {refused.value.reason}" in caplog.text
        expected = read_picture(data / name, gray=True)
        # Of colours OpenCV makes another gray, by a level or two, while it decodes.
        difference = np.abs(pictures.images[row].astype(int) - network_input(expected))
        assert difference.max() <= (2 if name == "painted.png" else 0)
    assert not any("fine" in doubt for doubt in pictures.doubts)


def test_a_cut_picture_is_not_trained_on_in_half(tmp_path: Path) -> None:
    """OpenCV reads the first half of a JPEG and makes the second gray."""
    file = io.BytesIO()
    Image.fromarray(_chest()).save(file, "JPEG")
    fine = _png(Image.fromarray(_chest()))
    cut = file.getvalue()[: len(file.getvalue()) // 2]
    data = _plain_set(tmp_path / "data", {"fine.png": fine, "cut.jpg": cut})
    with pytest.raises(TrainingError, match=r"cut: .*cut\.jpg: the file ends in the middle"):
        load(read_index(data))


def test_ordinary_radiographs_are_decoded_as_ever(shared_data: Path) -> None:
    """Networks that were trained before see the very pixels that they learnt from."""
    files = sorted((shared_data / "images").iterdir())[:100]
    files += sorted((shared_data / "control").iterdir())[:100]
    for path in files:
        served = decode_radiograph(path.read_bytes(), path.name)
        np.testing.assert_array_equal(served.pixels, read_picture(path, gray=True))
