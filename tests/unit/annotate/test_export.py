"""What comes out: a training set, its card, figures, and a backup."""

from __future__ import annotations

import csv
import hashlib
import itertools
import subprocess
import tarfile
import threading
from pathlib import Path

import pytest

from doctors import HEIGHT, WIDTH, Doctor, OpenSite, Site, blob, decoded, drawing
from infmap_annotate.results.export import export_set
from infmap_annotate.results.statistics import page_of, study_statistics
from infmap_annotate.study.backup import back_up
from infmap_annotate.study.folder import Study
from infmap_annotate.study.masks import decode_mask
from infmap_kit.errors import StudyError
from infmap_train.data.layouts import open_dataset

DRAWN = blob(4242)


def _pick(doctor: Doctor, site: Site, kind: str) -> None:
    """Pick the mask of that kind or model, or draw, wherever it stands."""
    item = doctor.item()
    if kind == "draw":
        doctor.decide("reject")
        assert doctor.put(item["item"], drawing(DRAWN)).status_code == 200
        return
    rows = site.study.database.reading().execute(
        "SELECT file FROM candidate LEFT JOIN model ON model.id = model_id "
        "WHERE coalesce(model.name, candidate.kind) = ?",
        (kind,),
    )
    files = [decode_mask((site.study.folder / "masks" / row["file"]).read_bytes()) for row in rows]
    (slot,) = [
        slot for slot, mask in enumerate(doctor.masks(item), start=1)
        if any((mask == file).all() for file in files)
    ]  # fmt: skip
    doctor.decide("pick", slot)


def _worked(open_site: OpenSite) -> Site:
    """Both agree on all but the two last radiographs, of which one is drawn; one is left open by ben."""
    site = open_site(drawn=6, bare=2, normal=3)
    anna, ben = site.enter("anna"), site.enter("ben")
    for _ in range(6):
        _pick(anna, site, "unet")
        _pick(ben, site, "unet")
    for _ in range(2):
        _pick(anna, site, "draw")
    _pick(ben, site, "draw")
    return site


def test_training_takes_what_was_exported_as_it_is(open_site: OpenSite, tmp_path: Path) -> None:
    site = _worked(open_site)
    report = export_set(site.study, tmp_path / "set")
    assert report == {"covid": 7, "normal": 3, "left_out": 1}
    pictures = open_dataset(tmp_path / "set", folds=3)
    samples = pictures.samples
    assert pictures.covid.sum() == 7
    original = {p.name: p for p in site.study.pictures()}
    chosen = {
        c.picture_id: c
        for found in site.study.candidates().values()
        for c in found
        if c.model_id == 1
    }
    for sample in samples:
        picture = original[sample.name]
        assert sample.group == picture.patient_group
        assert sample.image.read_bytes() == site.study.image_path(picture).read_bytes()
        if sample.infection_mask is not None and picture.stage == 1:
            mask = decoded(sample.infection_mask.read_bytes())
            assert mask.shape == (HEIGHT, WIDTH)
            file = site.study.folder / "masks" / chosen[picture.id].file
            assert (mask == decoded(file.read_bytes())).all()
        if sample.infection_mask is not None and picture.stage == 2:
            assert (decoded(sample.infection_mask.read_bytes()) == DRAWN * 255).all()


def test_the_set_says_where_everything_came_from(open_site: OpenSite, tmp_path: Path) -> None:
    site = _worked(open_site)
    export_set(site.study, tmp_path / "set")
    with (tmp_path / "set" / "index.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    assert [rows["covid_0"][k] for k in ("stage", "mask_by", "settled_by")] == [
        "1",
        "unet",
        "unanimous",
    ]
    with (tmp_path / "set" / "left_out.csv").open(newline="", encoding="utf-8") as file:
        (left,) = csv.DictReader(file)
    assert left["reason"] == "not all readers have decided"
    with (tmp_path / "set" / "decisions.csv").open(newline="", encoding="utf-8") as file:
        decisions = list(csv.DictReader(file))
    assert len(decisions) == len(site.decisions())
    first = decisions[0]
    assert (first["reader"], first["kind"], first["mask_by"]) == ("anna", "pick", "unet")
    assert first["shown"].split(" | ")[int(first["slot"]) - 1] == "unet"
    card = (tmp_path / "set" / "DATA_CARD.md").read_text(encoding="utf-8")
    for word in ("anna", "ben", "unet", "7 COVID-19 radiographs", "Cohen's kappa", "Fleiss", "0.8"):
        assert word in card, word
    digest = hashlib.sha256((tmp_path / "set" / "index.csv").read_bytes()).hexdigest()
    assert digest in card
    checked = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"],
        cwd=tmp_path / "set", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr
    assert (
        checked.stdout.count(": OK") == sum(p.is_file() for p in (tmp_path / "set").rglob("*")) - 1
    )


def test_the_networks_of_stage_one_train_on_the_masks_from_before(
    open_site: OpenSite, tmp_path: Path
) -> None:
    site = open_site(drawn=3, bare=2, normal=3)
    assert export_set(site.study, tmp_path / "set", drawn=True) == {
        "covid": 3, "normal": 3, "left_out": 0,
    }  # fmt: skip
    for sample in open_dataset(tmp_path / "set", folds=3).samples:
        if sample.infection_mask is not None:
            before = site.study.data / "infection_masks" / f"{sample.name}.png"
            assert (
                decoded(sample.infection_mask.read_bytes()) == decoded(before.read_bytes())
            ).all()
    assert "drawn before the study" in (tmp_path / "set" / "DATA_CARD.md").read_text()


def test_an_export_is_whole_or_not_there(open_site: OpenSite, tmp_path: Path) -> None:
    site = open_site(drawn=2)
    with pytest.raises(StudyError, match="no radiograph has a final mask"):
        export_set(site.study, tmp_path / "set")
    for doctor in (site.enter("anna"), site.enter("ben")):
        _pick(doctor, site, "dla")
        _pick(doctor, site, "dla")
    path = site.study.image_path(site.study.pictures()[1])
    content = path.read_bytes()
    path.write_bytes(content + b"\0")
    with pytest.raises(StudyError, match="was changed since"):
        export_set(site.study, tmp_path / "set")
    assert not (tmp_path / "set").exists()
    assert not list(tmp_path.glob(".set*"))
    path.write_bytes(content)
    export_set(site.study, tmp_path / "set", stage=1)
    with pytest.raises(StudyError, match="not empty"):
        export_set(site.study, tmp_path / "set")


def test_the_figures_of_a_study(open_site: OpenSite) -> None:
    site = open_site(drawn=4)
    anna, ben = site.enter("anna"), site.enter("ben")
    # By radiograph, so that both lists can be checked by hand.
    wanted = {1: ("unet", "unet"), 2: ("drawn", "unet"), 3: ("drawn", "drawn"), 4: ("dla", "dla")}
    by_name = {picture.id: picture.name for picture in site.study.pictures()}
    assert len(by_name) == 4
    for place, doctor in enumerate((anna, ben)):
        for _ in range(4):
            number = _picture_shown(doctor, site)
            _pick(doctor, site, wanted[number][place])
    figures = study_statistics(site.study)["stages"]["1"]
    (pair,) = figures["pairs"]
    assert (pair["pictures"], pair["same_mask"]) == (4, 3)
    # By hand: 3 of 4 agree; chance (1*2 + 2*1 + 1*1) / 16.
    assert pair["cohen_kappa"] == pytest.approx((0.75 - 5 / 16) / (1 - 5 / 16))
    # By hand: categories of 3, 3 and 2 of 8 answers.
    chance = (9 + 9 + 4) / 64
    assert figures["fleiss"]["kappa"] == pytest.approx((0.75 - chance) / (1 - chance))
    won = figures["readers"]["anna"]["machine_over_drawn"]
    assert (won["machine"], won["drawn"], won["share"]) == (2, 2, 0.5)
    assert won["low"] < 0.5 < won["high"]
    assert figures["settled"]["unanimous"] == 3
    assert figures["final"]["machine_over_drawn"]["machine"] == 2


def _picture_shown(doctor: Doctor, site: Site) -> int:
    masks = doctor.masks(doctor.item())
    for number, candidates in site.study.candidates().items():
        file = site.study.folder / "masks" / candidates[0].file
        if any((mask == decode_mask(file.read_bytes())).all() for mask in masks):
            return number
    raise AssertionError


def test_a_study_that_nobody_began_has_figures_without_numbers(open_site: OpenSite) -> None:
    site = open_site(drawn=1, first=["anna", "ben", "cara"])
    document = study_statistics(site.study)
    assert document["stages"]["1"]["fleiss"]["kappa"] is None
    assert page_of(document)["tables"]


def test_a_backup_that_is_taken_while_doctors_work_is_a_whole_study(
    open_site: OpenSite, tmp_path: Path
) -> None:
    site = open_site(drawn=0, bare=25)
    anna = site.enter("anna")
    ending = threading.Event()

    def work() -> None:
        while not ending.is_set() and anna.item()["item"] is not None:
            _pick(anna, site, "draw")

    worker = threading.Thread(target=work)
    worker.start()
    before = len(site.decisions())
    for number in range(3):
        back_up(site.study, tmp_path / f"{number}.tar")
    ending.set()
    worker.join(30)
    counts = []
    for number in range(3):
        folder = tmp_path / f"restored-{number}"
        with tarfile.open(tmp_path / f"{number}.tar") as archive:
            archive.extractall(folder, filter="data")
        restored = Study(folder)
        rows = restored.database.reading().execute("SELECT * FROM decision ORDER BY id").fetchall()
        assert [dict(row) for row in rows] == site.decisions()[: len(rows)]
        counts.append(len(rows))
        for candidate in itertools.chain(*restored.candidates().values()):
            content = (folder / "masks" / candidate.file).read_bytes()
            assert hashlib.sha256(content).hexdigest() == candidate.sha256
        assert restored.secret == site.study.secret
    assert before <= counts[0] <= counts[1] <= counts[2] <= len(site.decisions())
    assert (tmp_path / "0.tar").stat().st_mode & 0o777 == 0o600
    with Site(restored, site.tokens).open() as again:
        assert again.enter("anna").item()["total"] == 25


def test_a_backup_of_a_damaged_study_says_so(open_site: OpenSite, tmp_path: Path) -> None:
    site = open_site(drawn=1)
    (name,) = site.study.database.reading().execute("SELECT file FROM candidate").fetchone()
    path = site.study.folder / "masks" / name
    path.write_bytes(b"damaged")
    with pytest.raises(StudyError, match="SHA-256 differs"):
        back_up(site.study, tmp_path / "b.tar")
    path.unlink()
    with pytest.raises(StudyError, match="cannot read"):
        back_up(site.study, tmp_path / "b.tar")
    assert not (tmp_path / "b.tar").exists()
