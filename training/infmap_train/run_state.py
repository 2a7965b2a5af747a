"""The progress of a training, by its run folder's ``state.json``; light to import, for whoever waits for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infmap_kit.errors import TrainingError
from infmap_kit.model.files import read_json
from infmap_kit.model.spec import Anatomy, ClassifierSpec, NetworkSpec
from infmap_train.options import FitOptions, ReadOptions

STATE = "state.json"
WEIGHTS_SHA256 = "encoder_weights_sha256"


def read_state(run: Path) -> dict[str, Any] | None:
    """A run's identity, history and last checkpoint; ``None`` before its first epoch has ended.

    Raises
    ------
    SpecError
        When the file is damaged.
    """
    path = run / STATE
    if not path.exists():
        return None
    state = read_json(path)
    identity = state.get("identity")
    if isinstance(identity, dict) and isinstance(identity.get("options"), dict):
        options = identity["options"]
        # Earlier versions called the anatomy a target, or knew the infection alone.
        options.setdefault("anatomy", options.pop("target", Anatomy.INFECTION))
        # What an earlier version had no option for, it did as the option's default says.
        reading = dataclasses.asdict(ReadOptions.of_training(options))
        identity["options"] = reading | options
        for field in dataclasses.fields(FitOptions):
            identity["options"].setdefault(field.name, field.default)
    return state


def take_up(run: Path, identity: Mapping[str, Any]) -> dict[str, Any]:
    """The state that a training goes on from, or the one that it begins with.

    Parameters
    ----------
    identity
        What makes two trainings one: network, options, data, and the hash of the initial weights' file.

    Raises
    ------
    TrainingError
        When the folder holds another training.
    """
    state = read_state(run)
    if state is None:
        return {"identity": identity, "history": [], "checkpoint": ""}
    before = state.get("identity")
    if isinstance(before, dict):
        # Earlier versions did not note which file the weights came from; a finished run needs it no more.
        if WEIGHTS_SHA256 in identity:
            before.setdefault(WEIGHTS_SHA256, identity[WEIGHTS_SHA256])
        else:
            before.pop(WEIGHTS_SHA256, None)
    if before != identity:
        raise _another(run)
    return state


def require_same(
    run: Path, network: NetworkSpec | ClassifierSpec, options: FitOptions
) -> list[dict[str, Any]]:
    """The history of a run, once it is known to be of this network with these options; its data are not asked.

    Returns
    -------
    list
        A row an epoch; none before the first has ended.

    Raises
    ------
    TrainingError
        When the folder holds another training.
    """
    state = read_state(run)
    if state is None:
        return []
    expected = {"network": dataclasses.asdict(network), "options": dataclasses.asdict(options)}
    identity = state.get("identity") or {}
    if any(identity.get(key) != value for key, value in expected.items()):
        raise _another(run)
    return list(state["history"])


def _another(run: Path) -> TrainingError:
    return TrainingError(
        f"{run} holds a run with other options or data: take the same ones to go on, or another folder"
    )
