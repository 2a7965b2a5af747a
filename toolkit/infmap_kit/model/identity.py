"""A model's identity, from manifest to config parameters, results, DICOM objects and courses."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Self, TypeGuard

from infmap_kit.errors import SpecError
from infmap_kit.model.finding import FindingSpec
from infmap_kit.model.paint import Paint
from infmap_kit.model.severity_noise import PARAMETER as NOISE

_RUNNING = ("graphs", "most_pixels", "streams")
"""Parameters of a config that concern how it runs, and not its model."""


class ModelIdentity(Mapping[str, str]):
    """The parameters by which a served model names itself.

    A mapping of text to text as Triton's config holds it, so that nothing gets lost on the way; the
    properties give the meaning.

    Parameters
    ----------
    parameters
        ``model_name``, ``model_version``, ``network``, ``onnx_sha256``, ``target``, ``precision``, where
        calibrated ``temperature``, for a network of others ``adapter``, its ``paint`` where that
        is not the paper's, ``severity_noise`` where that was measured, and for each further part
        ``PART_name``, ``PART_version``, ``PART_onnx_sha256`` and its settings. What describes how the model
        runs is left out.
    """

    def __init__(self, parameters: Mapping[str, str] | None = None) -> None:
        stated = dict(sorted((parameters or {}).items()))
        self._parameters = {key: value for key, value in stated.items() if key not in _RUNNING}

    @classmethod
    def of(
        cls,
        model: Mapping[str, Any],
        *,
        target: str,
        precision: str,
        settings: Collection[str] = (),
    ) -> Self:
        """The identity that a manifest's ``model`` gives its server.

        Parameters
        ----------
        model
            Name, version, network and hash of the infection's network; of each further part the same under the
            part's name, with its settings as text.
        target, precision
            The target and the precision of the engines.
        settings
            Names of the parts' settings, which are taken as they stand.

        Raises
        ------
        SpecError
            When a network does not say what it is.
        """
        networks = [model, *(named for named in model.values() if is_network(named))]
        for key in ("name", "version", "onnx_sha256"):
            if any(key not in network for network in networks):
                raise SpecError(
                    f"the manifest does not say the {key} of its networks: export again"
                )
        stated = {
            "model_name": model["name"],
            "model_version": model["version"],
            "network": _network_name(model) or "unknown",
            "onnx_sha256": model["onnx_sha256"],
            "target": target,
            "precision": precision,
        }
        stated |= model.get("finding", {})
        stated |= model.get("paint", {})
        if text := adapter_text(model):
            stated["adapter"] = text
        if "temperature" in model:
            stated["temperature"] = f"{model['temperature']:g}"
        if NOISE in model:
            stated[NOISE] = model[NOISE]
        for part, named in model.items():
            if not is_network(named):
                continue
            network = _network_name(named)
            stated |= {
                f"{part}_name": named["name"],
                f"{part}_version": named["version"],
                **({f"{part}_network": network} if network else {}),
                f"{part}_onnx_sha256": named["onnx_sha256"],
                **{key: value for key, value in named.items() if key in settings},
            }
        return cls(stated)

    @property
    def name(self) -> str:
        """The model's name, for people and for DICOM objects."""
        return self.get("model_name", "")

    @property
    def version(self) -> str:
        """The model's version, one word."""
        return self.get("model_version", "")

    @property
    def precision(self) -> str:
        """The precision in which its networks compute."""
        return self.get("precision", "")

    @property
    def finding(self) -> FindingSpec:
        """The finding that the model looks for."""
        return FindingSpec.from_parameters(self)

    @property
    def paint(self) -> Paint:
        """The way in which its maps are painted."""
        return Paint.from_parameters(self)

    def onnx_sha256(self, part: str = "") -> str | None:
        """Hash of a part's graph, or of the infection's; ``None`` where the model has no such part."""
        return self.get(f"{part}_onnx_sha256" if part else "onnx_sha256")

    def __getitem__(self, key: str) -> str:
        return self._parameters[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __len__(self) -> int:
        return len(self._parameters)

    def __hash__(self) -> int:
        return hash(tuple(self._parameters.items()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._parameters})"


def is_network(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether a value in a model's record is itself the record of a network."""
    return isinstance(value, Mapping) and "onnx_sha256" in value


def adapter_text(model: Mapping[str, Any]) -> str:
    """Size and adapter of another framework's network in a manifest's ``model``; otherwise empty."""
    size, adapter = model.get("image_size"), model.get("adapter", {})
    sides = [f"{size}x{size}"] if size else []
    return ", ".join([*sides, *(f"{name} {value}" for name, value in adapter.items())])


def _network_name(model: Mapping[str, Any]) -> str:
    network: Mapping[str, Any] = model.get("network") or {}
    return (
        f"{network['architecture']} {network.get('encoder')}" if "architecture" in network else ""
    )
