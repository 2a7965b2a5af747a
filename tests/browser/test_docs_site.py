"""The documentation site: it builds strictly, asks nobody for anything, and is read and searched anywhere."""

from __future__ import annotations

import contextlib
import functools
import http.server
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[2]
WIDTHS = (1600, 900, 400)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, as `make docs` builds it."""
    pytest.importorskip("mkdocs", reason="needs infmap-kit[docs]")
    folder = tmp_path_factory.mktemp("docs") / "site"
    # Strict: a link to a page or a heading that is not there ends the build, unless --quiet hides it.
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """The site behind a plain web server on loopback."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    serving = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serving) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@contextlib.contextmanager
def _watched(browser: Browser, *, width: int = 1600, dark: bool = False) -> Iterator[Page]:
    """A page whose every request stays where the site is, and which writes no error."""
    context = browser.new_context(
        viewport={"width": width, "height": 1000}, color_scheme="dark" if dark else "light"
    )
    page = context.new_page()
    asked: list[str] = []
    errors: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    outside = [
        url for url in asked if not re.match(r"http://127\.0\.0\.1[:/]|file:|data:|blob:", url)
    ]
    assert asked
    assert not outside
    assert not errors


def _pages(site: Path) -> list[str]:
    return sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html"))


def test_no_page_names_a_file_of_another_host(site: Path) -> None:
    """Fonts, scripts and pictures; links to read on are the reader's own choice."""
    loaded = re.compile(
        r"""<(?:script|img|iframe)[^>]*\ssrc=["']?(?:https?:)?//|"""
        r"""<link[^>]*rel=["']?(?:stylesheet|preconnect|icon)[^>]*href=["']?(?:https?:)?//"""
    )
    assert len(_pages(site)) > 50
    assert [name for name in _pages(site) if loaded.search((site / name).read_text())] == []
    styles = "".join(path.read_text() for path in site.rglob("*.css"))
    assert not re.search(r"(?:url\(|@import\s*)[\"']?(?:https?:)?//", styles)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_pages_fit_and_ask_nobody(
    address: str, site: Path, browser: Browser, width: int, dark: bool
) -> None:
    shown = (
        "index.html",
        "infer.html",
        "architecture.html",
        "reference/infmap-kit.html",
        "404.html",
    )
    with _watched(browser, width=width, dark=dark) as page:
        for name in shown:
            page.goto(f"{address}/{name}", wait_until="networkidle")
            wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert wide <= 0, f"{name} is wider than the window by {wide} pixels"
            ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
            red = int(re.findall(r"\d+", ground)[0])
            assert (red < 100) is dark
        for picture in page.locator("img").all():
            assert picture.evaluate("image => image.naturalWidth") > 0


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("rollback", "releases.html"),
        ("verify_repository", "reference/api.html"),
        ("lateral view", "dicom.html"),
        ("min_dice", "reference/metrics.html"),
        ("mount point", "reference/messages.html"),
        # A stranger's ten tasks, in a stranger's words.
        ("find the bound of the gate", "releases.html"),
        ("add a GPU row", "extending.html"),
        ("change the grades", "severity.html"),
        ("train on own data", "train.html"),
        ("restore a backup", "operations.html"),
        ("read an SR code", "dicom.html"),
        ("call it from Python", "python-api.html"),
        ("verify a bundle", "releases.html"),
        ("explain an exit code", "reference/errors.html"),
        ("cite it", "start/researcher.html"),
    ],
)
def test_search_finds_a_term_without_a_network(
    address: str, browser: Browser, words: str, found: str
) -> None:
    with _watched(browser) as page:
        page.goto(f"{address}/index.html")
        _search(page, words, found)


def test_a_site_that_is_opened_from_the_disk_is_searched_as_well(
    site: Path, browser: Browser
) -> None:
    with _watched(browser) as page:
        page.goto((site / "index.html").as_uri())
        _search(page, "verify a bundle", "releases.html")


def _search(page: Page, words: str, found: str) -> None:
    """Search, and wait until a page is among the first five results."""
    field = page.locator(".md-search__input").first
    field.click()
    # At once, all but a letter: results of the first words would not do.
    field.fill(words[:-1])
    field.type(words[-1])
    page.wait_for_function(
        """found => [...document.querySelectorAll(".md-search-result__item")].slice(0, 5)
        .some(page => page.querySelector("a").getAttribute("href").includes("/" + found))""",
        arg=found,
        timeout=60_000,
    )


def test_a_message_is_shown_as_a_user_met_it(address: str, browser: Browser) -> None:
    with _watched(browser) as page:
        page.goto(f"{address}/reference/messages.html")
        listed = page.locator("article li").all_inner_texts()
    assert "expected --target to be one of <...>, found <name>" in listed
    assert not [line for line in listed if "\\" in line]


def test_every_role_reaches_its_pages_in_two_clicks(address: str, browser: Browser) -> None:
    ways = {
        "what a map says, and what it does not": "how severity is defined",
        "from an empty host to results in the PACS": "the node",
        "your own network on the same server": "networks of others",
        "repeating the paper's experiments": "the paper, sentence by sentence",
    }
    with _watched(browser) as page:
        for first, second in ways.items():
            page.goto(f"{address}/index.html")
            page.get_by_role("link", name=first).first.click()
            page.locator("article").get_by_role("link", name=second).first.click()
            page.wait_for_load_state()
            assert "404" not in page.title()
            assert page.locator("article h1").count() == 1


@pytest.mark.parametrize(
    ("question", "link", "answer"),
    [
        ("bounds of the gate", "the gate", "detections changed"),
        ("add a GPU", "add a GPU", "gpus.toml"),
        ("change the grades", "severity: grades", "--grades"),
        ("train on my own data", "train on your own data", "infection_masks/NAME.png"),
        ("back up an annotation study", "annotate", "infmap-annotate backup"),
        ("back up a node", "operations", "infmap-kit node restore"),
        ("codes of a Structured Report", "what the report says", "126000 DCM"),
        ("call the model from Python", "the Python API", "open_repository"),
        ("verify a bundle", "bundles", "infmap-kit inspect unet.bundle"),
        ("understand an exit code", "exit codes", "GateFailed"),
        ("cite the toolkit", "how to cite", "10.1007/s13755-021-00146-8"),
    ],
)
def test_a_strangers_task_is_two_clicks_away(
    address: str, browser: Browser, question: str, link: str, answer: str
) -> None:
    """Someone who has not read the code looks for these."""
    with _watched(browser) as page:
        page.goto(f"{address}/index.html")
        page.locator("article").get_by_role("link", name="How do I …?").click()
        row = page.locator("article tr", has_text=question)
        row.get_by_role("link", name=link).first.click()
        page.wait_for_load_state()
        heading = page.url.partition("#")[2]
        assert not heading or page.locator(f"[id='{heading}']").is_visible()
        assert answer in page.locator("article").inner_text()
