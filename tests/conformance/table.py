"""What is read, as a table of docs/dicom.md: `PYTHONPATH=tests python -m conformance.table` writes it there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from conformance.cases import Case, properties

DOCUMENT = Path(__file__).parents[2] / "docs" / "dicom.md"
_PLACE = re.compile(r"(?<=<!-- conformance set -->\n).*?(?=<!-- end of it -->)", re.DOTALL)


def rendered(read: Iterable[Case]) -> str:
    """The tables of the files that are read rightly, in Markdown."""
    known = list(read)
    lines = [
        f"{len(known)} files, in which each of these stands beside each other that it may stand beside:",
        "",
        "| transfer syntax | UID | bits stored | values | files | a stored value may be off by |",
        "|---|---|---|---|---|---|",
    ]
    for syntax in properties()["syntax"]:
        of_it = [case for case in known if case.syntax == syntax]
        bits = _span(sorted({case.depth[0] for case in of_it}))
        signs = " or ".join(
            ("unsigned", "signed")[sign] for sign in sorted({case.sign for case in of_it})
        )
        lost = f"{syntax.error_percent:g} % of the range" if syntax.error_percent else "nothing"
        lines.append(
            f"| {syntax.name} | `{syntax.uid}` | {bits} | {signs} | {len(of_it)} | {lost} |"
        )
    of_each: dict[str, Callable[[Case], str]] = {
        "polarity": lambda case: case.polarity,
        "modality step": lambda case: case.modality,
        "VOI step": lambda case: case.voi,
        "Specific Character Set": lambda case: (
            f"`{case.character_set}`" if case.character_set else "none"
        ),
    }
    lines += ["", "| property | what it may be, and in how many files |", "|---|---|"]
    for name, of in of_each.items():
        values = [of(case) for case in known]
        counted = ", ".join(
            f"{value} ({values.count(value)})" for value in dict.fromkeys(sorted(values))
        )
        lines.append(f"| {name} | {counted} |")
    return "\n".join(lines) + "\n"


def _span(numbers: list[int]) -> str:
    if len(numbers) < 2:
        return "".join(map(str, numbers))
    return f"{numbers[0]} to {numbers[-1]}"


def committed() -> str:
    """The tables as they stand in the document."""
    found = _PLACE.search(DOCUMENT.read_text(encoding="utf-8"))
    return found[0] if found else ""


if __name__ == "__main__":
    from conformance.cases import cases
    from conformance.reading import fault

    text = DOCUMENT.read_text(encoding="utf-8")
    table = rendered(case for case in cases() if not fault(case))
    DOCUMENT.write_text(_PLACE.sub(lambda _: table, text), encoding="utf-8")
