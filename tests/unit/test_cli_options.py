"""Options of commands that are made of dataclasses."""

from __future__ import annotations

import dataclasses
import enum
from pathlib import Path
from typing import Annotated, Any, Optional

import pytest
import typer
from typer.testing import CliRunner

from infmap_kit.cli.options import Given, with_options
from infmap_kit.errors import SpecError


class Colour(enum.StrEnum):
    """Of what is painted."""

    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Painting:
    """Options of one kind."""

    epochs: int = dataclasses.field(default=3, metadata={"help": "Passes.", "min": 1})
    pause_s: float = dataclasses.field(default=0.5, metadata={"help": "Rest.", "unit": "seconds"})
    colour: Colour = dataclasses.field(default=Colour.RED, metadata={"help": "Of it."})
    dry: bool = dataclasses.field(default=False, metadata={"help": "Wait for it."})
    where: Path | None = dataclasses.field(default=None, metadata={"help": "Folder."})
    hidden: str = "nobody's"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Printing:
    """Options of another kind, one of which both have."""

    epochs: int = dataclasses.field(default=7, metadata={"help": "Copies."})
    batches: tuple[int, ...] = dataclasses.field(default=(1, 8), metadata={"help": "Sizes."})
    keep: tuple[str, ...] = dataclasses.field(default=(), metadata={"help": "Nodes."})
    gpu: bool = dataclasses.field(default=True, metadata={"help": "Off it.", "flag": " /--cpu"})


def _asked(arguments: str, *defaults: Any, **how: Any) -> Given:
    """What a command with these options is given."""
    seen: list[Given] = []
    app = typer.Typer()

    @app.command()
    @with_options(*defaults, **how)
    def command(
        source: Annotated[Path, typer.Argument()],
        *,
        given: Given,
        lungs: Annotated[Optional[Path], typer.Option()] = None,  # noqa: UP045
    ) -> None:
        assert (source, lungs) == (Path("run"), None)
        seen.append(given)

    result = CliRunner().invoke(app, ["run", *arguments.split()], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return seen[0]


def test_what_was_not_given_has_the_dataclass_default() -> None:
    given = _asked("", Painting, Printing)
    assert given.values == {}
    assert given.options(Painting) == Painting()
    assert given.options(Printing) == Printing()


def test_each_kind_of_field_is_read() -> None:
    words = "--epochs 4 --pause-s 2 --colour blue --dry --where here --batches 2,4 --keep a --keep b --cpu"
    given = _asked(words, Painting, Printing)
    assert given.options(Painting, hidden="ours") == Painting(
        epochs=4, pause_s=2, colour=Colour.BLUE, dry=True, where=Path("here"), hidden="ours"
    )
    assert given.options(Printing) == Printing(epochs=4, batches=(2, 4), keep=("a", "b"), gpu=False)


def test_what_another_kind_does_not_offer_is_named_as_it_was_spelled() -> None:
    given = _asked("--epochs 7 --cpu --keep a", Painting, Printing)
    assert [given.flags[name] for name in given.beside(Painting)] == ["--keep", "--cpu"]
    assert given.beside(Printing) == []


def test_an_instance_brings_its_own_defaults_and_fields_can_be_left_out() -> None:
    painting = Painting(epochs=10, where=Path("there"))
    assert _asked("--dry", painting, leave_out=("where",)).options(painting) == Painting(
        epochs=10, where=Path("there"), dry=True
    )


def test_the_help_shows_defaults_units_and_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERMINAL_WIDTH", "200")
    app = typer.Typer()

    @app.command()
    @with_options(Painting(epochs=9), Printing)
    def command(*, given: Given) -> None:
        """Paint."""

    shown = CliRunner().invoke(app, ["--help"]).output
    for text in ("Passes.", "[default: 9]", "x>=1", "Rest, in seconds.", "[default: 1,8]", "--cpu"):
        assert text in shown
    for text in ("--hidden", "--no-dry", "--gpu", "typer"):
        assert text not in shown
    assert CliRunner().invoke(app, ["--epochs", "0"]).exit_code == 2


def test_numbers_that_are_none_are_refused_by_the_option_they_were_given_to() -> None:
    with pytest.raises(SpecError, match=r"expected --batches such as 1,8,32, found '1,x'"):
        _asked("--batches 1,x", Printing)
