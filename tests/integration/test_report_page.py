"""Reports in a real browser: they ask nobody, show both themes, and fit a phone and paper."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from acceptance_reports import acceptance_report
from bench_records import bench_record
from cohort_figures import cohort_figures
from infmap_kit.bench.records.page import page
from infmap_kit.bench.table5.report import page as table5_page
from infmap_kit.bench.table5.run import RowOutcome
from infmap_kit.cohort.report.page import page as cohort_page
from infmap_kit.node.web.page import page as node_page
from infmap_kit.paper.table5 import table5_rows
from infmap_kit.progression.output.page import page as progression_page
from infmap_kit.site_acceptance.report import page as acceptance_page
from node_status import node_status
from results import course_with_maps


@pytest.fixture(scope="module")
def chromium() -> str:
    actual = shutil.which("chromium")
    if actual is None:
        pytest.skip("needs Debian's chromium, which is not here")
    return actual


@pytest.fixture(
    scope="module", params=["record", "table5", "progression", "node", "acceptance", "cohort"]
)
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    record = bench_record()
    outcomes = [RowOutcome(row=row, precision="int8", record=record) for row in table5_rows()]
    pages = {
        "record": lambda: page(record),
        "table5": lambda: table5_page(outcomes),
        "progression": lambda: progression_page(*course_with_maps()),
        "node": lambda: node_page(node_status("archive refuses connections")),
        "acceptance": lambda: acceptance_page(acceptance_report()),
        "cohort": lambda: cohort_page(cohort_figures()),
    }
    path.write_text(pages[request.param]())
    return path


def _run(chromium: str, profile: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += ["--no-first-run", "--disable-background-networking", f"--user-data-dir={profile}"]
    return subprocess.run(
        [*command, *options], capture_output=True, text=True, check=False, timeout=120
    )


@contextlib.contextmanager
def _server(folder: Path) -> Iterator[str]:
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


def _requests_of_the_page(chromium: str, report: Path, folder: Path) -> set[str]:
    """Addresses that the page had fetched, by the browser's own log; its own errands carry no page's origin."""
    log = folder / "net.json"
    with _server(report.parent) as url:
        done = _run(
            chromium, folder / "profile", f"--log-net-log={log}", "--virtual-time-budget=3000",
            "--dump-dom", f"{url}/{report.name}",
        )  # fmt: skip
        assert "</body>" in done.stdout
        events = json.loads(log.read_text())["events"]
        parameters = [event.get("params", {}) for event in events]
        assert any(one.get("url") == f"{url}/{report.name}" for one in parameters)
        return {
            one["url"]
            for one in parameters
            if one.get("initiator") == url and not one["url"].endswith("favicon.ico")
        }


def test_no_request_leaves_the_page(chromium: str, report: Path, tmp_path: Path) -> None:
    assert _requests_of_the_page(chromium, report, tmp_path) == set()


def test_a_request_would_be_noticed(chromium: str, tmp_path: Path) -> None:
    """The test above can fail: a page with a picture from elsewhere is found out."""
    path = tmp_path / "report.html"
    path.write_text('<body><img src="http://elsewhere.invalid/x.png"></body>')
    actual = _requests_of_the_page(chromium, path, tmp_path)
    assert actual == {"http://elsewhere.invalid/x.png"}


def _screenshot(chromium: str, report: Path, folder: Path, *options: str) -> np.ndarray:
    path = folder / "page.png"
    _run(chromium, folder / "profile", *options, f"--screenshot={path}", report.as_uri())
    pixels = cv2.imread(str(path))
    assert pixels is not None
    return pixels


def test_light_and_dark_follow_the_reader(chromium: str, report: Path, tmp_path: Path) -> None:
    light = _screenshot(chromium, report, tmp_path, "--window-size=900,1200")
    dark = _screenshot(
        chromium,
        report,
        tmp_path,
        "--window-size=900,1200",
        "--blink-settings=preferredColorScheme=0",
    )
    assert light[2, 2].min() > 240
    assert dark[2, 2].max() < 60
    # Something stands out on either ground.
    assert light.min() < 60
    assert dark.max() > 200


WIDTHS = """
<script>
addEventListener("load", () => {
  const wide = [...document.querySelectorAll("body, section, p, svg, .tile")]
    .filter(e => e.getBoundingClientRect().right > innerWidth + 1).length;
  const small = [...document.querySelectorAll("svg text")]
    .filter(e => e.getBoundingClientRect().height < 9).length;
  const whole = document.documentElement.scrollWidth;
  document.title = `width ${whole} of ${innerWidth}; wide ${wide}; small ${small}`;
});
</script>
"""


def test_a_phone_shows_it_whole(chromium: str, report: Path, tmp_path: Path) -> None:
    """In a frame as wide as a phone: nothing but tables is wider, and letters stay legible."""
    inner = report.read_text().replace(
        "default-src 'none'", "default-src 'none'; script-src 'unsafe-inline'"
    )
    (tmp_path / "inner.html").write_text(inner.replace("</body>", WIDTHS + "</body>"))
    (tmp_path / "outer.html").write_text(
        '<iframe id="f" src="inner.html" width="390" height="800" style="border:0"></iframe><script>'
        "f.onload = () => document.body.dataset.found = f.contentDocument.title</script>"
    )
    done = _run(
        chromium, tmp_path / "profile", "--allow-file-access-from-files", "--virtual-time-budget=4000",
        "--dump-dom", (tmp_path / "outer.html").as_uri(),
    )  # fmt: skip
    assert "width 390 of 390; wide 0; small 0" in done.stdout


def test_it_prints(chromium: str, report: Path, tmp_path: Path) -> None:
    pdf = tmp_path / "report.pdf"
    _run(chromium, tmp_path / "profile", f"--print-to-pdf={pdf}", report.as_uri())
    content = pdf.read_bytes()
    assert content.startswith(b"%PDF")
    pages = content.count(b"/Type /Page\n") or content.count(b"/Type/Page")
    assert 1 <= pages <= 12
