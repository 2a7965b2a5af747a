"""A plan of trainings, as TOML; what is in it that no training can do is refused before any begins.

::

    folds = [1, 2, 3, 4, 5]       # those that are held back, counted from 1; all where none are named
    seeds = [0]
    gpu = true                    # each training takes a GPU; false: it computes on a CPU
    data_licence = "not stated"

    [fit]                         # options of `infmap-train fit`, for all
    epochs = 50

    [[trainings]]                 # every architecture with every encoder, frozen or not
    architectures = ["unet", "dla"]
    encoders = ["densenet121"]
    frozen = [false, true]
    fit = { encoder_weights = "imagenet" }    # options for these alone
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Self, TypeVar

from infmap_kit.errors import InfmapError, SpecError
from infmap_kit.model.files import parse_toml
from infmap_kit.model.spec import Architecture, Encoder, NetworkSpec, member
from infmap_kit.model.typed import typed
from infmap_train.options import FitOptions, Source

_T = TypeVar("_T")

PAPER = "paper"
"""Stands for the plan of the paper's 120 trainings in the place of a file."""

_BY_THE_PLAN = ("fold", "seed", "start_from")
"""Options of ``fit`` that a plan says otherwise, or that fit no more than one training."""
FIT_KEYS = [f.name for f in dataclasses.fields(FitOptions) if f.name not in _BY_THE_PLAN]
"""Options of ``fit`` that a plan may state."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlannedTraining:
    """One training of a plan.

    Parameters
    ----------
    network
        Network to train.
    options
        As for ``infmap-train fit``, with fold and seed.
    """

    network: NetworkSpec
    options: FitOptions

    @property
    def name(self) -> str:
        """Its run folder, below the plan's: ``seed-0/u-net-resnet-50-frozen/fold-1``."""
        return f"seed-{self.options.seed}/{self.network.slug}/fold-{self.options.fold + 1}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """Trainings, in the order in which they are begun.

    Parameters
    ----------
    trainings
        Each network, seed and fold once.
    gpu
        Whether each takes a GPU.
    data_licence
        Licence of the data, for the runs' records.
    """

    trainings: tuple[PlannedTraining, ...]
    gpu: bool = True
    data_licence: str = "not stated"

    @property
    def seeds(self) -> list[int]:
        """Seeds of the trainings."""
        return sorted({training.options.seed for training in self.trainings})

    def as_document(self) -> dict[str, Any]:
        """Return it for the record beside the runs, by which workers also tell that they see the folder."""
        return {
            "gpu": self.gpu,
            "data_licence": self.data_licence,
            "trainings": {
                training.name: {
                    "network": dataclasses.asdict(training.network),
                    "options": dataclasses.asdict(training.options),
                }
                for training in self.trainings
            },
        }

    @classmethod
    def read(cls, source: str) -> Self:
        """Read a plan.

        Parameters
        ----------
        source
            Path of a TOML file, or ``paper``. Paths in the file count from its folder.

        Raises
        ------
        SpecError
            When it cannot be read, or naming the first thing in it that cannot be.
        """
        if source == PAPER:
            content = (files(__package__) / "paper.toml").read_bytes()
            return cls.parse(content, "the paper's plan", Path.cwd())
        path = Path(source)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise SpecError(
                f"cannot read the plan {path}: {error.strerror}; name a TOML file, or `{PAPER}`"
            ) from error
        return cls.parse(content, str(path), path.absolute().parent)

    @classmethod
    def parse(cls, content: bytes, where: str, folder: Path) -> Self:
        """The plan of a TOML file's bytes, which errors name as ``where``; paths count from ``folder``.

        Raises
        ------
        SpecError
            As :meth:`read`.
        """
        document = _typed(PlanFile, parse_toml(content, where), where)
        trainings: list[PlannedTraining] = []
        for number, table in enumerate(document.trainings, start=1):
            place = f"{where}: [[trainings]] number {number}"
            block = _typed(PlanTable, table, place)
            try:
                trainings += _trainings_of(block, document, folder, place)
            except InfmapError as error:
                raise SpecError(f"{place}: {error}") from error
        if not trainings:
            raise SpecError(f"{where} plans no training: add a table [[trainings]]")
        (name, count), *_ = Counter(training.name for training in trainings).most_common(1)
        if count > 1:
            raise SpecError(f"{where}: {name} stands in it {count} times: name it once")
        return cls(trainings=tuple(trainings), gpu=document.gpu, data_licence=document.data_licence)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlanFile:
    """The keys of a plan's file.

    Parameters
    ----------
    trainings
        Tables of networks, at least one.
    folds
        Folds that are held back, counted from 1; empty for all.
    seeds
        Seeds. Every training is made with each of them.
    gpu
        Whether each training takes a GPU.
    data_licence
        Licence of the data, for the runs' records.
    fit
        Options of ``infmap-train fit`` for all trainings.
    """

    trainings: list[dict[str, Any]]
    folds: list[int] = dataclasses.field(default_factory=list)
    seeds: list[int] = dataclasses.field(default_factory=lambda: [0])
    gpu: bool = True
    data_licence: str = "not stated"
    fit: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlanTable:
    """The keys of one table ``[[trainings]]``: every architecture with every encoder, frozen or not.

    Parameters
    ----------
    architectures, encoders
        Names in any clear spelling, such as ``unet`` and ``densenet121``.
    frozen
        Whether the encoder is frozen; both values make both networks.
    fit
        Options of ``infmap-train fit`` for these trainings alone.
    """

    architectures: list[str]
    encoders: list[str]
    frozen: list[bool] = dataclasses.field(default_factory=lambda: [False])
    fit: dict[str, Any] = dataclasses.field(default_factory=dict)

    def networks(self) -> Iterator[NetworkSpec]:
        """Every network that the table names.

        Raises
        ------
        SpecError
            When a key names nothing, or what there is not.
        """
        for key in ("architectures", "encoders", "frozen"):
            if not getattr(self, key):
                raise SpecError(f"{key} is empty: name at least one, or leave the table out")
        for architecture, encoder, frozen in itertools.product(
            self.architectures, self.encoders, self.frozen
        ):
            yield NetworkSpec(
                architecture=member(Architecture, architecture),
                encoder=member(Encoder, encoder),
                encoder_frozen=frozen,
            )


def _trainings_of(
    block: PlanTable, document: PlanFile, folder: Path, place: str
) -> Iterator[PlannedTraining]:
    stated = {**document.fit, **block.fit}
    for key in stated:
        if key not in FIT_KEYS:
            theirs = {"fold": "folds", "seed": "seeds"}.get(key)
            instead = (
                f"say {theirs} at the top" if theirs else f"expected some of {', '.join(FIT_KEYS)}"
            )
            raise SpecError(f"fit: {key} is no key: {instead}")
    options = typed(FitOptions, stated, "fit")
    if not options.encoder_weights:
        raise SpecError(
            "fit: say what encoders start from: encoder_weights = "
            '"imagenet" (the paper\'s), "chexnet" (the paper\'s for CheXNet), a file, or "none" (random)'
        )
    options = _with_paths(options, folder)
    seeds = document.seeds or [0]
    folds = document.folds or range(1, options.folds + 1)
    for network in block.networks():
        if options.encoder_weights in tuple(Source):
            Source(options.encoder_weights).refuse_others(network.encoder)
        for seed, fold in itertools.product(seeds, folds):
            if not 1 <= fold <= options.folds:
                raise SpecError(
                    f"folds: expected numbers from 1 to {options.folds}, found {fold}: they are counted from 1"
                )
            chosen = dataclasses.replace(options, seed=seed, fold=fold - 1)
            yield PlannedTraining(network=network, options=chosen)


def _with_paths(options: FitOptions, folder: Path) -> FitOptions:
    """Paths are those of the plan's folder: workers stand elsewhere."""
    changed: dict[str, Any] = {}
    if options.finding:
        changed["finding"] = str(folder / options.finding)
    if options.encoder_weights not in tuple(Source):
        changed["encoder_weights"] = str(folder / options.encoder_weights)
    return dataclasses.replace(options, **changed)


def _typed(kind: type[_T], table: Mapping[str, Any], where: str) -> _T:
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    for key in table:
        if key not in names:
            raise SpecError(f"{where}: {key} is no key: expected some of {', '.join(names)}")
    return typed(kind, table, where)
