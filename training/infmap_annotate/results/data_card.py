"""The card of an exported training set: its readers, their rules and their agreement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from infmap_annotate.results.statistics import page_of
from infmap_kit.report.table import Table

_RULE = """\
Each reader saw the radiograph and the masks without a word on who made them, in an order of their own, and
took the best one; where rejecting all was allowed and none was good, they drew one. The final mask is the one
that more than half of the readers took. Without such a majority, readers whose masks reach a Dice of
{bound:g} with each other agree, and the mask nearest to the others is final; what is left, a third reader
decided among the masks that the others had taken."""

_AS_DRAWN = """\
They are those that were drawn before the study, of its stage I, to train the networks that propose masks
there. What readers decided is not in them."""

_CARD = """\
# Data card

{covid} COVID-19 radiographs with infection masks and {normal} normal ones, annotated with infmap-annotate;
{left_out} without a final mask are listed in left_out.csv. For research use, not for diagnosis.

Study of {made_at:.10}, exported {generated_at:.10}. Readers: {people}.

## How the masks came about

{how}

## Models that proposed masks

{models}
A network predicted only radiographs that it had not been trained on, where the line above says that its runs
prove that.

{tables}
## Limits

The licence of the radiographs is that of the data set they came from; this card does not change it. Masks
were chosen on the radiograph alone, without CT, report or follow-up.

## Files

{files}
SHA256SUMS holds those of all files: `sha256sum --check SHA256SUMS`.
"""


def data_card(
    statistics: Mapping[str, Any],
    counts: Mapping[str, int],
    models: Sequence[Mapping[str, Any]],
    *,
    as_drawn: bool,
    hashes: Mapping[str, str],
) -> str:
    """Write the card as Markdown.

    Parameters
    ----------
    statistics
        The study's figures.
    counts
        ``covid``, ``normal``, ``left_out``.
    models
        Name, stage and record of each.
    as_drawn
        Whether the masks are those from before the study, and not the readers'.
    hashes
        SHA-256 by file name, for the files that the card vouches for.
    """
    people = (
        f"{person['name']} ({'third reader' if person['role'] == 'third' else 'reader'}, "
        f"{person['decided']} decided)"
        for person in statistics["readers"]
    )
    known = [(model["name"], str(model["stage"]), describe(model["record"])) for model in models]
    files = [(f"`{name}`", f"`{sha256}`") for name, sha256 in hashes.items()]
    return _CARD.format(
        **counts,
        made_at=statistics["made_at"],
        generated_at=statistics["generated_at"],
        people=", ".join(people),
        how=_AS_DRAWN if as_drawn else _RULE.format(bound=statistics["rules"]["dice_bound"]),
        models=Table("", ("model", "stage", "what is known"), known).markdown(),
        tables="\n".join(
            table_of(entry).markdown(level=2) for entry in page_of(statistics)["tables"]
        ),
        files=Table("", ("file", "SHA-256"), files).markdown(),
    )


def describe(record: Mapping[str, Any]) -> str:
    """Describe a model's origin in one phrase."""
    if record["made_by"] == "runs":
        runs = record["runs"]
        versions = ", ".join(run["version"] for run in runs)
        held = sum(run["held_back"] for run in runs)
        return f"{runs[0]['model']}, {len(runs)} run(s) {versions}; {held} radiographs were held back by theirs"
    if record["made_by"] == "a served engine":
        served = record["served"]
        return (
            f"served {served.get('model_name')} {served.get('model_version')}; radiographs it was trained "
            f"on: {record['trained_on']}"
        )
    return str(record["made_by"])


def table_of(entry: Mapping[str, Any]) -> Table:
    """One table of a study's page, for the terminal and for the card."""
    rows = [[_cell(value) for value in row] for row in entry["rows"]]
    return Table(entry["title"], entry["columns"], rows, notes=(entry["note"] or "",))


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
