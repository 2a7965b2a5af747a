"""docs/python-api.md, run as it stands: in a notebook's order, on a real radiograph and the demo model."""

from __future__ import annotations

import asyncio
import base64
import re
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
import pytest

from infmap_kit import Finding, read_radiograph, verify_repository
from infmap_kit.errors import GateFailed, ServerError
from infmap_kit.triton.async_client import AsyncInfmapClient
from infmap_kit.triton.client import InfmapClient
from infmap_kit.triton.inference import find_infection
from infmap_kit.triton.server.process import TritonServer
from patience import PATIENCE_S
from small_network import small_network, small_run

PAGE = Path(__file__).parents[2] / "docs" / "python-api.md"
TRAINING = "Train"


def _blocks() -> dict[str, str]:
    """The page's Python by heading."""
    sections = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {
        section.partition("\n")[0]: "\n".join(
            re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
        )
        for section in sections
    }


@pytest.fixture
def desk(
    tmp_path: Path, repository: Path, chest_dicoms: list[Path], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder with what the page speaks of, as the working folder."""
    shutil.copy(chest_dicoms[0], tmp_path / "chest.dcm")
    (tmp_path / "model_repository").symlink_to(repository, target_is_directory=True)
    small_run(tmp_path / "runs" / "unet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_runs_as_it_stands(desk: Path) -> None:
    names: dict[str, Any] = {}
    for heading, block in _blocks().items():
        if heading != TRAINING:
            exec(compile(block, f"{PAGE.name}: {heading}", "exec"), names)  # noqa: S102
    finding, radiograph = names["finding"], names["radiograph"]
    assert isinstance(finding, Finding)
    assert [pydicom.dcmread(path).PatientID for path in desk.glob("*-*.dcm")] == [
        radiograph.header.PatientID
    ] * 3
    shown = finding._repr_html_()
    assert "https:" not in shown
    assert "http:" not in shown
    for figure in (f"{finding.probability_max:.3f}", f"{finding.severity_percent:.1f}", "detected"):
        assert figure in shown
    png = base64.b64decode(re.findall(r'src="data:image/png;base64,([^"]+)"', shown)[0])
    picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert max(picture.shape) == 512
    # By the server as in the process, one after the other as side by side, and painted by hand.
    assert finding.infection_map is not None
    for other in (names["served"], *names["findings"]):
        assert np.array_equal(other.probability, finding.probability)
        assert np.array_equal(other.infection_map, finding.infection_map)
    # Floats round otherwise in ONNX, and on another machine: here and there a probability is on the other side
    # of a colour's step, and at the map's rim of the first, below which nothing is painted.
    maps = names["painted"].astype(int), finding.infection_map.astype(int)
    coloured, served = (np.ptp(one, axis=2) > 0 for one in maps)
    difference = np.abs(maps[0] - maps[1])
    assert difference[coloured == served].max() <= 10
    assert (coloured != served).sum() <= 3
    assert (difference > 0).mean() < 1e-3
    assert names["image"].shape == (224, 224)
    assert names["report"].passed


@pytest.mark.usefixtures("desk")
def test_the_readmes_python_runs_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(
        r"^```python\n(.*?)^```$",
        (PAGE.parents[1] / "README.md").read_text(encoding="utf-8"),
        re.MULTILINE | re.DOTALL,
    )
    exec(compile(block, "README.md", "exec"), {})  # noqa: S102
    detected, severity_percent = capsys.readouterr().out.split()
    assert detected == "True"
    assert 0 < float(severity_percent) < 100


def test_the_notebook_is_no_longer_than_twenty_lines() -> None:
    first = next(iter(_blocks().values()))
    assert len(first.splitlines()) <= 20


@pytest.mark.slow
@pytest.mark.train
def test_the_page_trains(desk: Path) -> None:
    pytest.importorskip("tensorflow", reason="needs infmap-kit[train]")
    from infmap_kit.cli.results.synthesize import synthesize

    synthesize(output=desk / "drawn", count=20, size=256)
    names: dict[str, Any] = {"Path": Path}
    exec(compile(_blocks()[TRAINING], f"{PAGE.name}: {TRAINING}", "exec"), names)  # noqa: S102
    assert names["figures"]["images"]
    assert names["evaluation"].probability.shape[1:] == (224, 224)
    assert names["spec"].network.encoder_frozen


def test_another_network_is_not_verified(desk: Path) -> None:
    another = small_run(desk / "runs" / "another", small_network(bias=-6.0))
    with pytest.raises(GateFailed, match="is of another network"):
        verify_repository(another, desk / "model_repository")


def test_more_questions_than_connections_are_answered_as_one_by_one(
    server: TritonServer, chest_dicoms: list[Path]
) -> None:
    radiographs = [read_radiograph(path) for path in chest_dicoms]
    with InfmapClient(server.grpc_url) as client:
        expected = [find_infection(one, client, painted=False) for one in radiographs]

    async def ask() -> tuple[list[Finding], str]:
        async with AsyncInfmapClient(server.grpc_url, connections=2) as client:
            questions = [client.find_infection(one, painted=False) for one in radiographs * 4]
            found = await asyncio.gather(*questions)
            # One that is given up gives its connection back all the same.
            for _ in range(3):
                given_up = asyncio.ensure_future(client.find_infection(radiographs[0]))
                await asyncio.sleep(0)
                given_up.cancel()
            return found, (await client.model()).version

    found, version = asyncio.run(asyncio.wait_for(ask(), timeout=PATIENCE_S))
    assert version == expected[0].model.version
    for number, one in enumerate(found):
        reference = expected[number % len(radiographs)]
        assert np.array_equal(one.probability, reference.probability)


def test_a_missing_server_is_an_error_for_each_question(chest_dicoms: list[Path]) -> None:
    radiograph = read_radiograph(chest_dicoms[0])

    async def ask() -> list[object]:
        async with AsyncInfmapClient("127.0.0.1:1", connections=1) as client:
            questions = [client.find_infection(radiograph) for _ in range(3)]
            return list(await asyncio.gather(*questions, return_exceptions=True))

    results = asyncio.run(asyncio.wait_for(ask(), timeout=PATIENCE_S))
    assert [type(result) for result in results] == [ServerError] * 3
    with pytest.raises(ValueError, match="at least 1, found 0"):
        AsyncInfmapClient(connections=0)


def test_a_closed_client_says_so_at_once(server: TritonServer, chest_dicoms: list[Path]) -> None:
    async def ask() -> None:
        async with AsyncInfmapClient(server.grpc_url, connections=1) as client:
            pending = asyncio.ensure_future(client.model())
            await asyncio.sleep(0)
        assert (await pending).version
        await client.close()
        with pytest.raises(RuntimeError, match="the client is closed"):
            await client.find_infection(read_radiograph(chest_dicoms[0]))

    asyncio.run(asyncio.wait_for(ask(), timeout=PATIENCE_S))
