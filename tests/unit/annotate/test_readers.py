"""Who is let in: names and tokens, sessions, foreign pages and names."""

from __future__ import annotations

import datetime as dt
import os
import stat
from pathlib import Path
from typing import Any

import pytest
import requests

from doctors import OpenSite, Site, new_study
from infmap_annotate.study.folder import Study, as_text
from infmap_annotate.study.readers import (
    SignInRefused,
    Tries,
    add_reader,
    readers,
    revoke_reader,
    sign_in,
)
from infmap_annotate.web.serving import Address
from infmap_kit.errors import StudyError
from patience import PATIENCE_S


def _knock(site: Site, name: str, token: str, **options: Any) -> requests.Response:
    return requests.post(
        f"{site.url}/sign-in",
        data={"name": name, "token": token},
        allow_redirects=False,
        timeout=PATIENCE_S,
        **options,
    )


def _expire(site: Site, name: str) -> None:
    past = as_text(dt.datetime.now(dt.UTC) - dt.timedelta(minutes=1))
    with site.study.writing() as sql:
        sql.execute("UPDATE reader SET expires_at = ? WHERE name = ?", (past, name))


def test_only_hashes_of_tokens_are_kept(tmp_path: Path) -> None:
    study, tokens = new_study(tmp_path, drawn=1)
    session = sign_in(study, "anna", tokens["anna"])
    study.database.close()
    kept = b"".join(p.read_bytes() for p in study.folder.rglob("*") if p.is_file())
    assert not any(word.encode() in kept for word in (*tokens.values(), session))
    assert stat.S_IMODE((study.folder / "secret").stat().st_mode) == 0o600


def test_the_cookie_is_out_of_reach_for_scripts_and_other_sites(open_site: OpenSite) -> None:
    site = open_site(drawn=1)
    cookie = _knock(site, "anna", site.tokens["anna"]).headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie


@pytest.mark.parametrize("path", ["/pick", "/third", "/draw/x", "/stats"])
def test_pages_lead_who_is_not_signed_in_to_the_door(open_site: OpenSite, path: str) -> None:
    answer = requests.get(open_site(drawn=1).url + path, allow_redirects=False, timeout=PATIENCE_S)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/sign-in")


def test_a_token_that_expires_while_its_doctor_works(open_site: OpenSite) -> None:
    site = open_site(drawn=2)
    anna = site.enter("anna")
    item = anna.item()["item"]
    _expire(site, "anna")
    answer = anna.post(item=item, kind="pick", slot=1)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "signed-out"
    assert "expired" in answer.json()["error"]["message"]
    with pytest.raises(SignInRefused, match=r"expired on \d{4}-\d\d-\d\d"):
        sign_in(site.study, "anna", site.tokens["anna"])
    # A new token, and the same names go on.
    with site.study.writing() as sql:
        site.tokens["anna"] = add_reader(sql, "anna", "first")
    assert site.enter("anna").post(item=item, kind="pick", slot=1).status_code == 200


def test_a_revoked_reader_is_out_at_once(open_site: OpenSite) -> None:
    site = open_site(drawn=1)
    anna = site.enter("anna")
    with site.study.writing() as sql:
        revoke_reader(sql, "anna")
    assert anna.get("/api/items/current").status_code == 401
    with pytest.raises(SignInRefused, match="revoked"):
        sign_in(site.study, "anna", site.tokens["anna"])


@pytest.mark.parametrize(("name", "token"), [("anna", "wrong"), ("nobody", "wrong"), ("", "")])
def test_wrong_names_and_wrong_tokens_are_answered_alike(
    tmp_path: Path, name: str, token: str
) -> None:
    study, _ = new_study(tmp_path, drawn=1)
    with pytest.raises(SignInRefused, match=r"^Name and token do not belong together\.$"):
        sign_in(study, name, token)


def test_who_guesses_has_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    tries = Tries(most=3, one_every_s=6)
    for _ in range(3):
        assert tries.wait_s("anna") == 0
        tries.failed("anna")
    assert tries.wait_s("anna") == pytest.approx(6)
    assert tries.wait_s("ben") == 0
    # Whoever tries under many names is one client.
    assert tries.wait_s("ben", "anna") > 0
    clock[0] += 6
    assert tries.wait_s("anna") == 0


def test_guessing_under_a_readers_name_slows_the_guesser_and_locks_nobody_out(
    open_site: OpenSite,
) -> None:
    site = open_site(drawn=1)
    answers = [_knock(site, "anna", f"guess {number}") for number in range(12)]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429] * 2
    assert answers[-1].elapsed.total_seconds() > 1
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 12
    # All of these come from one address, as behind a proxy: the reader, and everybody else, are let in.
    for name in ("anna", "ben"):
        answer = _knock(site, name, site.tokens[name])
        assert answer.status_code == 303
        assert answer.elapsed.total_seconds() < 1


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "evil.example:80"])
def test_a_foreign_host_is_refused(open_site: OpenSite, host: str) -> None:
    site = open_site(drawn=1)
    answer = requests.get(site.url + "/sign-in", headers={"Host": host}, timeout=PATIENCE_S)
    assert answer.status_code == 400


def test_a_page_of_another_site_can_decide_nothing(open_site: OpenSite) -> None:
    site = open_site(drawn=1)
    anna = site.enter("anna")
    item = anna.item()["item"]
    anna.session.headers["Origin"] = "https://evil.example"
    assert anna.post(item=item, kind="pick", slot=1).status_code == 403
    # Another program on the same machine shares the cookie, and is no friend either.
    anna.session.headers["Origin"] = "http://127.0.0.1:1"
    assert anna.post(item=item, kind="pick", slot=1).status_code == 403
    anna.session.headers.update({"Origin": site.url, "Sec-Fetch-Site": "same-site"})
    assert anna.post(item=item, kind="pick", slot=1).status_code == 403
    del anna.session.headers["Origin"], anna.session.headers["Sec-Fetch-Site"]
    del anna.session.headers["X-Infmap"]
    answer = anna.post(item=item, kind="pick", slot=1)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "no-header")
    assert site.decisions() == []
    assert (
        _knock(
            site, "anna", site.tokens["anna"], headers={"Origin": "https://evil.example"}
        ).status_code
        == 403
    )


def test_a_sign_in_of_megabytes_is_not_read(open_site: OpenSite) -> None:
    assert _knock(open_site(drawn=1), "anna", "x" * 2_000_000).status_code == 413


def test_every_answer_forbids_strangers_to_help(open_site: OpenSite) -> None:
    site = open_site(drawn=1)
    for path in ("/sign-in", "/api/items/current", "/nothing"):
        headers = requests.get(site.url + path, timeout=PATIENCE_S).headers
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"


def test_only_the_owner_sees_the_agreement(open_site: OpenSite) -> None:
    site = open_site(drawn=1)
    assert site.enter("anna").get("/stats").status_code == 403
    owner = site.enter("owner")
    assert owner.get("/stats").status_code == 200
    assert owner.get("/pick").headers["Location"] == "/stats"
    assert owner.item()["item"] is None


@pytest.mark.parametrize(
    "path",
    [
        "/nothing", "/static/../web.py", "/api/items/x/image.png", "/api/none",
        # More digits than Python reads as a number.
        pytest.param(f"/api/items/x/masks/{'9' * 5000}.png", id="slot"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_said_to_be_not_there(open_site: OpenSite, path: str) -> None:
    assert open_site(drawn=1).enter("anna").get(path).status_code == 404


def test_sessions_outlive_the_server(tmp_path: Path) -> None:
    study, tokens = new_study(tmp_path, drawn=1)
    with Site(study, tokens).open() as site:
        anna = site.enter("anna")
        name = anna.item()["item"]
    with Site(study, tokens).open() as again:
        anna.url = again.url
        assert anna.item()["item"] == name


def test_beyond_this_machine_it_wants_https() -> None:
    with pytest.raises(StudyError, match="in the clear"):
        Address(host="0.0.0.0")  # noqa: S104
    with pytest.raises(StudyError, match="together"):
        Address(certificate=Path("c.pem"))
    assert Address(host="0.0.0.0", behind_proxy=True, names=("annotate.clinic",)).secure  # noqa: S104
    assert not Address().secure


def test_one_name_has_one_role(tmp_path: Path) -> None:
    study, _ = new_study(tmp_path, drawn=1)
    with pytest.raises(StudyError, match="already"), study.writing() as sql:
        add_reader(sql, "anna", "third")
    with pytest.raises(StudyError, match="no reader 'tom'"), study.writing() as sql:
        revoke_reader(sql, "tom")
    with pytest.raises(StudyError, match="expected a reader's name"), study.writing() as sql:
        add_reader(sql, "<b>", "first")
    assert [reader.name for reader in readers(study)] == ["owner", "anna", "ben"]


def test_a_study_is_its_owners_alone_also_one_that_was_open_before(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        study, _ = new_study(tmp_path, drawn=1)
        everything = [study.folder, *study.folder.rglob("*")]
        for path in everything:
            mode = stat.S_IMODE(path.stat().st_mode)
            assert mode == (0o700 if path.is_dir() else 0o600), path
        study.database.close()
        study.folder.chmod(0o755)
        (study.folder / "study.sqlite").chmod(0o644)
        again = Study(study.folder)
        again.query("SELECT 1")
        assert stat.S_IMODE(again.folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((again.folder / "study.sqlite").stat().st_mode) == 0o600
    finally:
        os.umask(before)
