"""What a stranger finds on the page of an acceptance."""

from __future__ import annotations

import dataclasses

from acceptance_reports import acceptance_report
from infmap_kit.site_acceptance.acceptance import STEPS
from infmap_kit.site_acceptance.line import AcceptanceOutcome, judged, not_run
from infmap_kit.site_acceptance.report import page


def test_each_step_says_in_a_sentence_what_it_is_about() -> None:
    assert all(step.explanation.endswith(".") for step in STEPS)
    text = page(acceptance_report())
    assert '<h2>Host</h2>\n<p class="soft">What this machine has.</p>' in text


def test_versions_are_shown_as_published_and_as_they_are_here() -> None:
    report = acceptance_report()
    report = dataclasses.replace(
        report, repository={**report.repository, "built_with": {"openvino": "1.5"}},
        versions={"openvino": "2.5"},
    )  # fmt: skip
    text = page(report)
    assert text.index(">1.5<") < text.index(">2.5<")
    # A printed page shows nothing that is folded.
    assert "Versions" in text.rpartition("</details>")[2]


def test_what_is_in_the_way_is_said_with_what_to_do_and_what_is_not_needed_too() -> None:
    refused = acceptance_report()
    assert "files: failed. Expected: every file. Found: repository/" in refused.reasons[0]
    assert "card: not run, although this repository needs it: needs a GPU" in refused.reasons[1]
    assert "send this page and" in page(refused)
    lines = {"host": [judged("Python", "3.11", "3.11", good=True),
                      not_run("card", "none needed", "none is here", required=False)]}  # fmt: skip
    fine = dataclasses.replace(refused, lines=lines, reasons=[])
    assert fine.counts()[AcceptanceOutcome.NOT_RUN] == 1
    assert fine.verdict.endswith("This repository needs nothing of what was not run.")
    assert "send this page and" not in page(fine)
