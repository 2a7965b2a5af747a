"""A real Chromium, and studies for it."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

from annotation import Server, Toy, make_study, served, synthetic_cases
from patience import PATIENCE_MS, PATIENCE_S

Contexts = Callable[..., BrowserContext]
AXE = "axe-core@4.11.1"
# Playwright's own five seconds are too few for a page on a busy machine.
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def launch() -> Iterator[Callable[..., Browser]]:
    """Starts Debian's Chromium; ends with the module, for Playwright's loop must not meet others' asyncio."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs Debian's chromium, which is not here")
    with sync_playwright() as driver:

        def start(*options: str) -> Browser:
            arguments = [
                "--no-sandbox",
                "--disable-background-networking",
                "--disable-gpu",
                *options,
            ]
            return driver.chromium.launch(executable_path=chromium, args=arguments)

        yield start


@pytest.fixture(scope="module")
def browser(launch: Callable[..., Browser]) -> Iterator[Browser]:
    running = launch()
    yield running
    running.close()


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The accessibility checker's source, from npm; it is not part of the project (MPL-2.0)."""
    folder = tmp_path_factory.mktemp("axe")
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("needs npm for axe-core, which is not here")
    done = subprocess.run(
        [npm, "pack", AXE, "--silent", f"--pack-destination={folder}"],
        cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"{AXE} cannot be had from npm: {done.stderr.strip()[-200:]}")
    (archive,) = folder.glob("*.tgz")
    with tarfile.open(archive) as package:
        source = package.extractfile("package/axe.min.js")
        assert source
        return source.read().decode()


@pytest.fixture
def new_context(browser: Browser) -> Iterator[Contexts]:
    """Makes browser profiles; a page's error in any of them fails the test."""
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def make(**options: object) -> BrowserContext:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})  # type: ignore[arg-type]
        context.set_default_timeout(PATIENCE_MS)
        context.on("weberror", lambda error: errors.append(str(error.error)))
        contexts.append(context)
        return context

    yield make
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture
def context(new_context: Contexts) -> BrowserContext:
    """One profile of a desktop."""
    return new_context()


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    """Four radiographs with drawn masks (stage I) and three without (stage II)."""
    return make_study(tmp_path, synthetic_cases(7), stage_one=4)


@pytest.fixture
def server(toy: Toy) -> Iterator[Server]:
    with served(toy) as running:
        yield running
