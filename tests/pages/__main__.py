"""What becomes of the documentation's code blocks: `PYTHONPATH=tests python -m pages` counts and lists them."""

from __future__ import annotations

from collections import defaultdict

import typer

from pages.blocks import NOT_COMPARED, OUTPUT, PYTHON, SETTINGS, SHELL, Block, blocks, documents


def main() -> None:
    """Print how many are run, read and compared, and the others by their reasons."""
    found = [block for document in documents() for block in blocks(document)]
    of = {
        "run": (SHELL, PYTHON),
        "output, compared": (OUTPUT,),
        "settings, read": SETTINGS,
    }
    for what, languages in of.items():
        count = sum(block.language in languages and not block.mark for block in found)
        typer.echo(f"{count:4} {what}")
    reasons: dict[str, list[Block]] = defaultdict(list)
    for block in found:
        if block.mark and block.mark != NOT_COMPARED:
            reasons[f"{block.mark}: {block.reason}"].append(block)
    for reason, those in sorted(reasons.items()):
        typer.echo(f"{len(those):4} {reason}: {', '.join(map(str, those))}")


if __name__ == "__main__":
    main()
