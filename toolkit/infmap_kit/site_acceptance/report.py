"""The report of an acceptance: JSON, one page, and a checksum or a signature beside them."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infmap_kit.bench.records.sentences import paper_sentence
from infmap_kit.bench.records.tables import scopes_table
from infmap_kit.bench.scopes import ENGINE_ALONE, SCOPES
from infmap_kit.errors import InfmapError
from infmap_kit.model.files import write_together
from infmap_kit.paper.table5 import MACHINE
from infmap_kit.report.charts import Bar, bars
from infmap_kit.report.page import render
from infmap_kit.report.table import Table, Toned
from infmap_kit.site_acceptance.line import AcceptanceLine, AcceptanceOutcome
from infmap_kit.text import json_bytes

if TYPE_CHECKING:
    from infmap_kit.bench.records.record import BenchRecord
    from infmap_kit.report.drawing import Drawing

_SCHEMA = 1

JSON, PAGE = "acceptance.json", "acceptance.html"
CHECKSUM, SIGNATURE = f"{JSON}.sha256", f"{JSON}.sig"

SIGNERS = (
    "who operates the host (hospital IT)",
    "who answers for the use of the model (radiology or medical physics)",
)
"""The roles of those who sign a report."""

_TONES = {
    AcceptanceOutcome.PASSED: "good",
    AcceptanceOutcome.FAILED: "bad",
    AcceptanceOutcome.NOT_RUN: "warning",
}
_NOTICE = "For research use, not a medical device."


@dataclasses.dataclass(frozen=True, kw_only=True)
class AcceptanceReport:
    """The report of an acceptance, with everything that was found.

    Parameters
    ----------
    lines
        Step to its lines, in the order of the steps.
    explanations
        Step to sentences about it.
    reasons
        Why the host is not accepted, a sentence each; empty when it is.
    repository
        Hashes and versions of what was proved.
    host
        The machine; nothing that names it.
    versions
        Versions of the programs.
    started
        UTC, ISO 8601.
    duration_s
        Seconds that it took.
    latency
        The record of the latency; ``None`` where none was measured.
    left_out
        Steps that the caller left out.
    """

    lines: Mapping[str, Sequence[AcceptanceLine]]
    reasons: Sequence[str]
    repository: Mapping[str, Any]
    host: Mapping[str, Any]
    versions: Mapping[str, str]
    started: str
    duration_s: float
    explanations: Mapping[str, str] = dataclasses.field(default_factory=dict)
    latency: BenchRecord | None = None
    left_out: Sequence[str] = ()

    @property
    def accepted(self) -> bool:
        """Whether every line passed that the repository needs, and no step was left out."""
        return not self.reasons and not self.left_out

    @property
    def verdict(self) -> str:
        """One sentence, and another about what was not run."""
        counts = self.counts()
        told = ", ".join(f"{counts[outcome]} {outcome}" for outcome in AcceptanceOutcome)
        verdict = f"{'Accepted' if self.accepted else 'Not accepted'}: {told}."
        if self.accepted and counts[AcceptanceOutcome.NOT_RUN]:
            verdict += " This repository needs nothing of what was not run."
        return verdict

    def counts(self) -> dict[AcceptanceOutcome, int]:
        """AcceptanceOutcome to the number of lines that ended so."""
        outcomes = [line.outcome for lines in self.lines.values() for line in lines]
        return {outcome: outcomes.count(outcome) for outcome in AcceptanceOutcome}

    def require(self) -> None:
        """Refuse a host that is not accepted; the report is written before.

        Raises
        ------
        InfmapError
            Naming the lines that are in the way, and steps that were left out.
        """
        if not self.accepted:
            every = [line for lines in self.lines.values() for line in lines]
            names = [line.name for line in every if line.stands_in_the_way]
            shown = ", ".join([*names, *(f"{step}, left out" for step in self.left_out)])
            raise InfmapError(f"the host is not accepted; in the way: {shown}. See {PAGE}")

    def as_json(self) -> dict[str, Any]:
        """Return everything, for scripts and for whoever has to find out why."""
        return {
            "schema": _SCHEMA,
            "kind": "site acceptance",
            "accepted": self.accepted,
            "verdict": self.verdict,
            "reasons": list(self.reasons),
            "left_out": list(self.left_out),
            "explanations": dict(self.explanations),
            "started": self.started,
            "duration_s": self.duration_s,
            "lines": [
                {"step": step, **dataclasses.asdict(line)}
                for step, lines in self.lines.items()
                for line in lines
            ],
            "latency": self._latency(),
            "repository": dict(self.repository),
            "host": dict(self.host),
            "versions": dict(self.versions),
            "sign_off": [{"role": r, "name": "", "date": "", "signature": ""} for r in SIGNERS],
            "notice": _NOTICE,
        }

    def _latency(self) -> dict[str, Any] | None:
        record = self.latency
        if record is None:
            return None
        row = record.paper_row
        return {
            "paper_ms": None if row is None else row.time_ms,
            "paper_machine": MACHINE,
            "scopes": {
                name: dataclasses.asdict(latencies.summary())
                for name, latencies in record.scopes.items()
            },
            "doubts": dict(record.doubts),
            "warnings": list(record.warnings),
        }


def lines_table(report: AcceptanceReport, *steps: str) -> Table:
    """A table with a row for each line, of some steps or of all: expected, found, outcome."""
    rows: list[Sequence[str]] = []
    for step in steps or report.lines:
        rows += [
            (Toned(line.outcome, _tone(line)), line.name, line.expected, line.found)
            for line in report.lines[step]
        ]
        rows.append(())
    columns = ("outcome", "what", "expected", "found")
    return Table("", columns, rows, words=columns[1:])


def page(report: AcceptanceReport) -> str:
    """The report as one self-contained HTML file, to be read and signed."""
    counts, repository = report.counts(), report.repository
    model = " ".join(str(repository.get(key, "")) for key in ("model", "version")).strip()
    return render(
        "acceptance.html",
        Path(__file__).parent / "templates",
        title=f"Site acceptance of {model or repository['folder']}",
        subtitle=f"Release {repository.get('release', '-')} for target {repository.get('target', '-')}, "
        f"{repository.get('precision', '-')}; begun {report.started}, took {report.duration_s:.0f} s",
        verdict=report.verdict,
        accepted=report.accepted,
        reasons=[*report.reasons, *(f"{name}: left out" for name in report.left_out)],
        tiles=[
            (outcome, Toned(str(count), _TONES[outcome] if count else ""))
            for outcome, count in counts.items()
        ],
        steps=[
            (step, report.explanations.get(step, ""), lines_table(report, step))
            for step in report.lines
        ],
        chart=_chart(report.latency),
        scopes=scopes_table(report.latency) if report.latency is not None else "",
        latency_sentences=_latency_sentences(report.latency),
        identity=_facts(
            {key: value for key, value in repository.items() if key not in ("files", "built_with")}
        ),
        host=_facts(report.host),
        versions=_versions(repository.get("built_with", {}), report.versions),
        files=_facts(repository.get("files", {})),
        signers=SIGNERS,
        names=(JSON, CHECKSUM, SIGNATURE),
    )


def write_report(
    report: AcceptanceReport, folder: Path, *, sign: Callable[[bytes], bytes] | None = None
) -> tuple[Path, ...]:
    """Write page and JSON, the JSON's SHA-256 and, with a key, its signature; all or none of them.

    Parameters
    ----------
    folder
        Folder to write to. The signature of an earlier report there is removed.
    sign
        Makes the signature of a SHA-256 digest.
    """
    content = json_bytes(report.as_json())
    digest = hashlib.sha256(content)
    files = {
        folder / JSON: content,
        folder / PAGE: page(report).encode(),
        folder / CHECKSUM: f"{digest.hexdigest()}  {JSON}\n".encode(),
    }
    (folder / SIGNATURE).unlink(missing_ok=True)
    if sign is not None:
        files[folder / SIGNATURE] = sign(digest.digest())
    write_together(files)
    return tuple(files)


def _tone(line: AcceptanceLine) -> str:
    if line.outcome is AcceptanceOutcome.NOT_RUN and not line.required:
        return "soft"
    return _TONES[line.outcome]


def _chart(record: BenchRecord | None) -> Drawing | None:
    if record is None or not record.scopes:
        return None
    rows = []
    for name in SCOPES:
        if name in record.scopes:
            p50 = record.scopes[name].p50_ms
            rows.append(Bar(label=name, value=p50, note=f"{p50:.2f} ms"))
        if name == ENGINE_ALONE and (row := record.paper_row) is not None:
            note = f"{row.time_ms:.2f} ms"
            rows.append(Bar(label=f"Table V, {MACHINE}", value=row.time_ms, note=note, colour="c1"))
    return bars("Median latency by scope", rows, unit="ms")


def _latency_sentences(record: BenchRecord | None) -> list[str]:
    if record is None:
        return ["No latency was measured."]
    doubts = "; ".join(f"{name}, {why}" for name, why in record.doubts.items())
    return [
        paper_sentence(record),
        *record.warnings,
        *([f"Not settled: {doubts}."] if doubts else []),
    ]


def _versions(published: Mapping[str, str], here: Mapping[str, str]) -> Table:
    """A table with a row for each program: its version when the repository was published, and on this host."""
    rows = [
        (name.replace("_", " "), str(published.get(name, "-")), str(here.get(name, "-")))
        for name in {**here, **published}
    ]
    columns = ("program", "when published", "on this host")
    return Table("", columns, rows, words=columns)


def _facts(facts: Mapping[str, Any]) -> Table:
    rows = [
        (
            key.replace("_", " "),
            ", ".join(map(str, value)) if isinstance(value, list) else str(value),
        )
        for key, value in facts.items()
    ]
    return Table("", ("what", "value"), rows, words=("what", "value"))
