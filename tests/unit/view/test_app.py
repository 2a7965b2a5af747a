"""Who may see the results, and what the server does with requests that no page of its own sends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from infmap_kit.view.app import cookie_of
from infmap_kit.view.gallery import Gallery
from view_results import TOKEN, shown

OURS = {"X-Infmap": "1"}


class Client(requests.Session):
    """Somebody at this machine who asks by HTTP."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url

    def request(self, method: str, path: str, **options: Any) -> requests.Response:  # type: ignore[override]
        """Ask for a path, and follow nothing."""
        options = {"timeout": 20, **options, "allow_redirects": False}
        return super().request(method, self.url + path, **options)


@pytest.fixture
def stranger(gallery: Gallery) -> Iterator[Client]:
    with shown(gallery.folder) as address, Client(address.partition("/?")[0]) as client:
        yield client


@pytest.fixture
def holder(stranger: Client) -> Client:
    answer = stranger.get(f"/?token={TOKEN}")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/", "the token does not stay in the address"
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert "SameSite=strict" in answer.headers["set-cookie"]
    return stranger


def test_without_the_token_nothing_is_shown(stranger: Client, gallery: Gallery) -> None:
    id_ = gallery.cards()[0].id
    paths = ["/", "/api/results", f"/api/results/{id_}", f"/api/results/{id_}/radiograph.png",
             f"/api/results/{id_}/thumbnail.jpg"]  # fmt: skip
    for cookie in ("", "guess", TOKEN[:-1]):
        stranger.cookies.set(cookie_of(int(stranger.url.rpartition(":")[2])), cookie)
        assert [stranger.get(path, headers=OURS).status_code for path in paths] == [403] * len(
            paths
        )
        put = stranger.put(f"/api/results/{id_}/opinion", headers=OURS, json={"mark": "agree"})
        assert put.status_code == 403


def test_with_it_everything_is(holder: Client, gallery: Gallery) -> None:
    page = holder.get("/")
    assert page.status_code == 200
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    listed = holder.get("/api/results", headers=OURS).json()["results"]
    assert len(listed) == 5
    card = next(card for card in gallery.cards() if card.stem == "chest_0")
    for kind in ("infection_map", "radiograph", "probability", "lungs"):
        content = holder.get(f"/api/results/{card.id}/{kind}.png").content
        assert content == (gallery.folder / f"chest_0.{kind}.png").read_bytes()
    small = holder.get(f"/api/results/{card.id}/thumbnail.jpg")
    assert small.content.startswith(b"\xff\xd8")


def test_a_folder_that_is_gone_is_no_empty_list(holder: Client, gallery: Gallery) -> None:
    gallery.folder.rename(gallery.folder.with_name("elsewhere"))
    answer = holder.get("/api/results", headers=OURS)
    assert answer.status_code == 500
    assert "No such file" in answer.json()["error"]["message"]


def test_other_names_and_other_sites_are_refused(holder: Client, gallery: Gallery) -> None:
    path = f"/api/results/{gallery.cards()[0].id}/opinion"
    assert holder.get("/", headers={"Host": "evil.example"}).status_code == 400
    foreign = {**OURS, "Sec-Fetch-Site": "cross-site"}
    assert holder.put(path, headers=foreign, json={"mark": "agree"}).status_code == 403
    assert holder.put(path, json={"mark": "agree"}).status_code == 403, "without the page's header"
    assert holder.get("/api/results").status_code == 403
    assert not (gallery.folder / "opinions").exists()


@pytest.mark.parametrize(
    "path",
    ["/api/results/..%2F..%2Fetc/radiograph.png", "/api/results/chest_0", "/api/results/ID/source.png",
     "/api/results/ID/..%2Fchest_0.png", "/..%2Fsecret.png", "/secret.png"],
)  # fmt: skip
def test_no_other_file_is_reached(holder: Client, gallery: Gallery, path: str) -> None:
    (gallery.folder.parent / "secret.png").write_bytes(b"secret")
    asked = path.replace("ID", gallery.cards()[0].id)
    assert holder.get(asked, headers=OURS).status_code == 404


@pytest.mark.parametrize(
    "body",
    ["", "[]", '{"mark": 3}', '{"mark": "perhaps"}', '{"mark": "agree", "mark": "disagree"}', '{"other": 1}',
     '{"threshold": NaN}', json.dumps({"note": "x" * 70_000})],
)  # fmt: skip
def test_an_opinion_that_is_none_is_refused_in_words(
    holder: Client, gallery: Gallery, body: str
) -> None:
    id_ = gallery.cards()[0].id
    answer = holder.put(f"/api/results/{id_}/opinion", headers=OURS, data=body)
    assert answer.status_code == 422
    assert answer.json()["error"]["message"]
    assert not (gallery.folder / "opinions").exists()


def test_an_opinion_is_kept(holder: Client, gallery: Gallery) -> None:
    id_ = gallery.cards()[0].id
    said: dict[str, Any] = {
        "mark": "agree",
        "severity_percent": 20,
        "threshold": 0.45,
        "note": "left base",
    }
    assert holder.put(f"/api/results/{id_}/opinion", headers=OURS, json=said).status_code == 200
    assert holder.get("/api/results", headers=OURS).json()["opinions"] == {id_: said}
    gone = holder.put(f"/api/results/{'0' * 32}/opinion", headers=OURS, json=said)
    assert gone.status_code == 422
