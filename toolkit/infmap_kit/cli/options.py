"""Options of commands, made from the fields of dataclasses: default, type, help and bounds stand there alone.

A field whose metadata has a ``help`` is an option of the command line. Its metadata may say besides:

``unit``
    What it is counted in; added to the help.
``min``, ``max``
    Bounds that Typer checks.
``metavar``
    What the help calls its value.
``flag``
    How a switch is spelled where that is not its name: ``" /--cpu"`` turns off what is on by default.

A tuple of numbers is written with commas (``1,8,32``); a tuple of words is given word by word.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, TypeVar, overload

import typer

from infmap_kit.errors import SpecError

_T = TypeVar("_T")
_R = TypeVar("_R")
_CONTEXT = "typer_context"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Given:
    """The options that the user wrote, and their spellings such as ``--keep-fp32``, by the field's name."""

    values: Mapping[str, Any]
    flags: Mapping[str, str]

    @overload
    def options(self, defaults: type[_T], **others: Any) -> _T: ...

    @overload
    def options(self, defaults: _T, **others: Any) -> _T: ...

    def options(self, defaults: type[_T] | _T, **others: Any) -> _T:
        """Fill a dataclass, or change an instance of one, with what was given and other fields' values."""
        names = {field.name for field in dataclasses.fields(defaults)}  # type: ignore[arg-type]
        chosen = {name: value for name, value in self.values.items() if name in names} | others
        if isinstance(defaults, type):
            return defaults(**chosen)
        return dataclasses.replace(defaults, **chosen)  # type: ignore[type-var]

    def beside(self, kind: type) -> list[str]:
        """Fields that were given and that a dataclass does not offer."""
        return [name for name in self.values if name not in offered(kind)]


def with_options(
    *defaults: Any, leave_out: Collection[str] = ()
) -> Callable[[Callable[..., _R]], Callable[..., _R]]:
    """Give a Typer command the options of dataclasses, in the place of its parameter ``given``.

    Parameters
    ----------
    defaults
        Dataclasses, or instances whose values are shown as defaults; of fields with the same name the
        first is shown.
    leave_out
        Fields that are no options of this command.
    """
    options: dict[str, _Option] = {}
    for shown in defaults:
        kind = shown if isinstance(shown, type) else type(shown)
        hints = typing.get_type_hints(kind)
        for name, field in offered(kind).items():
            if name in options or name in leave_out:
                continue
            default = _default(field) if isinstance(shown, type) else getattr(shown, name)
            options[name] = _Option(name, hints[name], default, field.metadata)

    def decorate(command: Callable[..., _R]) -> Callable[..., _R]:
        @functools.wraps(command)
        def wrapper(**arguments: Any) -> _R:
            context = arguments.pop(_CONTEXT)
            values = {name: arguments.pop(name) for name in options}
            written = [n for n in values if context.get_parameter_source(n).name != "DEFAULT"]
            given = Given(
                values={name: options[name].read(values[name]) for name in written},
                flags={name: options[name].flag for name in written},
            )
            return command(**arguments, given=given)

        signature = inspect.signature(command, eval_str=True)
        keyword = inspect.Parameter.KEYWORD_ONLY
        replaced = [inspect.Parameter(_CONTEXT, keyword, annotation=typer.Context)]
        for parameter in signature.parameters.values():
            if parameter.name == "given":
                replaced += [option.parameter() for option in options.values()]
            else:
                replaced.append(parameter.replace(kind=keyword))
        wrapper.__signature__ = signature.replace(parameters=replaced)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {made.name: made.annotation for made in replaced}
        return wrapper

    return decorate


def numbers(text: str, flag: str) -> tuple[int, ...]:
    """Read ``1,8,32``.

    Raises
    ------
    SpecError
        When a part is no number.
    """
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError as error:
        raise SpecError(f"expected {flag} such as 1,8,32, found {text!r}") from error


@dataclasses.dataclass(frozen=True)
class _Option:
    name: str
    kind: Any
    default: Any
    metadata: Mapping[str, Any]

    @property
    def flag(self) -> str:
        """The spelling of the option."""
        spelled: str = self.metadata.get("flag", f"--{self.name.replace('_', '-')}")
        return spelled.rpartition("/")[2].strip()

    def parameter(self) -> inspect.Parameter:
        """The parameter from which Typer makes the option."""
        kind, default = self.kind, self.default
        if kind == tuple[int, ...]:
            kind, default = str, ",".join(map(str, default))
        elif kind == tuple[str, ...]:
            kind, default = list[str] | None, list(default) or None
        # Without a spelling of its own Typer adds --no-... to a switch.
        spelled = [self.metadata.get("flag", self.flag)] if kind is bool else []
        text: str = self.metadata["help"]
        if unit := self.metadata.get("unit"):
            text = f"{text.removesuffix('.')}, in {unit}."
        further: Any = {key: self.metadata.get(key) for key in ("min", "max", "metavar")}
        # "On" would stand beside the switch that turns it off.
        option = typer.Option(
            *spelled, help=text, show_default="flag" not in self.metadata, **further
        )
        keyword, annotation = inspect.Parameter.KEYWORD_ONLY, Annotated[kind, option]
        return inspect.Parameter(self.name, keyword, default=default, annotation=annotation)

    def read(self, value: Any) -> Any:
        """The value for the dataclass, from the one that Typer read."""
        if self.kind == tuple[int, ...]:
            return numbers(value, self.flag)
        return tuple(value or ()) if self.kind == tuple[str, ...] else value


def offered(kind: type) -> dict[str, dataclasses.Field[Any]]:
    """The fields of a dataclass that are options of commands, by name."""
    return {field.name: field for field in dataclasses.fields(kind) if "help" in field.metadata}


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default if field.default is not dataclasses.MISSING else ...
