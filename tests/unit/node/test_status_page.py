"""The node's page says what is wrong, and only then."""

from __future__ import annotations

import re

from infmap_kit.node.web.page import page as status_html
from node_status import node_status


def test_a_node_that_is_well_says_so() -> None:
    html = status_html(node_status())
    assert "Ready." in html
    assert '<meta http-equiv="refresh"' in html


def test_what_is_wrong_stands_at_the_top() -> None:
    html = status_html(node_status("no room on the disk"))
    assert "Ready." not in html
    assert html.index("no room on the disk") < html.index("1205")


def test_states_are_seen_at_a_glance_and_callers_are_text() -> None:
    html = status_html(node_status())
    assert re.search(r'class="words bad">refuses connections<', html)
    assert re.search(r'class="bad">failed<', html)
    assert re.search(r'class="good">done<', html)
    assert "XRAY&lt;1&gt;" in html
    assert "XRAY<1>" not in html


def test_a_destination_with_dead_letters_is_not_well() -> None:
    (archive,) = node_status()["destinations"]
    html = status_html({**node_status(), "destinations": [{**archive, "trouble": ""}]})
    assert re.search(r'class="words bad">has dead letters: infmap-kit node retry ID<', html)


def test_a_finding_stands_with_its_figures() -> None:
    html = status_html(node_status())
    for cell in ("12.3 % of the lungs", "mild", "0.98", "0123456789ab"):
        assert f">{cell}<" in html


def test_what_a_person_should_look_at_stands_apart() -> None:
    html = status_html(node_status())
    assert html.index("To look at") < html.index("Refused callers") < html.index("Latest")
    assert re.search(r">XRAY&lt;2&gt;<.*>INFMAPP<.*>another AE title was called<.*>3<", html)
    well = status_html({**node_status(), "worklist": [], "refused": []})
    assert "To look at" not in well
    assert "Refused callers" not in well


def test_an_empty_node_says_that_nothing_came_yet() -> None:
    html = status_html({**node_status(), "destinations": [], "latest": []})
    assert "None: results stay here." in html
    assert "None yet." in html
