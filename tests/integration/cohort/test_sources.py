"""Cohorts of a list, a DICOMDIR, a real PACS and a real object store."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from patience import PATIENCE_S

pytest.importorskip("distributed", reason="the cohort extra is not installed")
pytest.importorskip("pyarrow", reason="the cohort extra is not installed")

from cohorts import rows_of, run
from dicom_files import as_file, chest_dataset, drawn_chest
from infmap_kit.cohort import dicomweb
from infmap_kit.cohort.dicomweb import Query, retrieve, search
from infmap_kit.cohort.sources import fetch
from infmap_kit.errors import InfmapError, InputRejected, ServerError
from infmap_kit.imaging.readers import decode
from infmap_kit.serving.server import free_port
from orthanc import Orthanc


@pytest.fixture
def pacs(orthanc: Orthanc) -> Iterator[Orthanc]:
    """Three radiographs of three days and two modalities, and one of a hand."""
    orthanc.clear()
    for number, tags in enumerate(
        (
            {"StudyDate": "20240110", "Modality": "CR"},
            {"StudyDate": "20240220", "Modality": "DX"},
            {"StudyDate": "20250330", "Modality": "CR"},
            {"StudyDate": "20240111", "Modality": "CR", "BodyPartExamined": "HAND"},
        )
    ):
        uids = {
            f"{level}InstanceUID": f"1.2.826.9.{number}.{place}"
            for place, level in enumerate(("Study", "Series", "SOP"))
        }
        orthanc.stow(
            chest_dataset(drawn_chest(seed=number), PatientID=f"P{number}", **uids, **tags)
        )
    assert orthanc.count() == 4
    yield orthanc
    orthanc.clear()


def _days(pacs: Orthanc, query: Query) -> list[str]:
    """Which of the radiographs a query finds, by the number in their UIDs."""
    return sorted(
        address.rpartition("/")[2].split(".")[4] for address in search(pacs.dicomweb_url, query)
    )


def test_a_pacs_is_asked_by_date_modality_and_body_part(
    pacs: Orthanc, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _days(pacs, Query()) == ["0", "1", "2", "3"]
    assert _days(pacs, Query(date="20240101-20241231")) == ["0", "1", "3"]
    assert _days(pacs, Query(date="20240101-20241231", body_part="CHEST")) == ["0", "1"]
    assert _days(pacs, Query(modalities=("DX",))) == ["1"]
    assert _days(pacs, Query(date="20250330")) == ["2"]
    assert _days(pacs, Query(date="19990101")) == []
    # Page by page, too.
    monkeypatch.setattr(dicomweb, "_PAGE", 1)
    assert _days(pacs, Query(modalities=("CR",))) == ["0", "2", "3"]


def test_what_is_retrieved_is_what_was_stored(pacs: Orthanc) -> None:
    addresses = list(search(pacs.dicomweb_url, Query(body_part="CHEST")))
    assert len(addresses) == 3
    for address in addresses:
        number = int(address.rpartition("/")[2].split(".")[4])
        expected = decode(as_file(chest_dataset(drawn_chest(seed=number))), "x").pixels
        assert (decode(retrieve(address), "x").pixels == expected).all()
    with pytest.raises(InputRejected) as rejected:
        retrieve(f"{address[:-1]}999")
    assert rejected.value.code == "missing"


def test_a_cohort_out_of_a_pacs(pacs: Orthanc, small_repository: Path, tmp_path: Path) -> None:
    told = run(
        pacs.dicomweb_url, output=tmp_path / "out", repository=small_repository, workers=1,
        date="20240101-20241231", body_part="CHEST",
    )  # fmt: skip
    assert told["done"] == 2
    rows = rows_of(tmp_path / "out")
    assert sorted(row["tag_TakenMonth"] for row in rows) == ["2024-01", "2024-02"]
    assert all(row["detected"] is not None for row in rows)


def test_a_pacs_that_is_not_there_is_said_in_one_line(
    small_repository: Path, tmp_path: Path
) -> None:
    told = run(
        f"http://127.0.0.1:{free_port()}/dicom-web", output=tmp_path / "out",
        repository=small_repository, code=1,
    )["told"]  # fmt: skip
    assert told.startswith("error: the PACS at ")
    assert len(told.splitlines()) == 1


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A server that speaks S3, as a process of its own; gives the environment that leads to it."""
    pytest.importorskip("moto", reason="moto is not installed")
    pytest.importorskip("s3fs", reason="the s3 extra is not installed")
    port = free_port()
    log = (tmp_path_factory.mktemp("s3") / "log").open("wb")
    running = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=log,
        stderr=log,
    )
    told = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "eu-central-1",
    }  # fmt: skip
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in told.items():
                patch.setenv(name, value)
            yield told
    finally:
        running.terminate()
        running.wait(timeout=PATIENCE_S)
        log.close()


def _bucket(told: dict[str, str]) -> object:
    import boto3

    client = boto3.client("s3")
    for _ in range(1200):
        with contextlib.suppress(Exception):
            client.create_bucket(
                Bucket="hospital", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
            )
            return client
        time.sleep(0.1)
    pytest.fail("the S3 server did not start")


def test_a_cohort_out_of_an_object_store(
    s3: dict[str, str], cohort: Path, small_repository: Path, tmp_path: Path
) -> None:
    client = _bucket(s3)
    for name in ("00.png", "01.png", "91.png", "Doe^Jane.dcm"):
        client.upload_file(str(cohort / name), "hospital", f"2024/{name}")  # type: ignore[attr-defined]
    client.put_object(Bucket="hospital", Key="2024/notes.txt", Body=b"x")  # type: ignore[attr-defined]
    told = run(
        "s3://hospital/2024",
        output=tmp_path / "out",
        repository=small_repository,
        workers=1,
        env=s3,
    )
    assert told["rejected"] == {"unknown-format": 1}
    stored = rows_of(tmp_path / "out")
    here = tmp_path / "in"
    here.mkdir()
    for name in ("00.png", "01.png", "91.png", "Doe^Jane.dcm"):
        os.link(cohort / name, here / name)
    run(here, output=tmp_path / "here", repository=small_repository, workers=1)
    for row in (local := rows_of(tmp_path / "here")) + stored:
        del row["source"]
    assert stored == local
    with pytest.raises(InputRejected) as rejected:
        fetch(b"s3://hospital/2024/nothing.dcm")
    assert rejected.value.code == "missing"
    with pytest.raises(ServerError):
        fetch(b"nowhere://hospital/x.dcm")


def test_a_dicomdir(tmp_path: Path) -> None:
    from pydicom.fileset import FileSet

    from infmap_kit.cohort.inputs import locators_of

    files = FileSet()
    for number in range(3):
        uid = f"1.2.826.9.77.{number}"
        dataset = chest_dataset(drawn_chest(seed=number), SOPInstanceUID=uid, StudyInstanceUID=uid,
                                SeriesInstanceUID=uid)  # fmt: skip
        dataset.file_meta.MediaStorageSOPInstanceUID = uid
        files.add(dataset)
    files.write(tmp_path / "cd")
    locators = list(locators_of(str(tmp_path / "cd" / "DICOMDIR"), Query()))
    assert len(locators) == 3
    assert all(os.path.isfile(locator) for locator in locators)  # noqa: PTH113  # bytes
    with pytest.raises(InfmapError, match="cannot read the DICOMDIR"):
        list(locators_of(str(tmp_path / "DICOMDIR"), Query()))
