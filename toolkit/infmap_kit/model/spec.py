"""The names of networks, and the record that training hands to the toolkit."""

from __future__ import annotations

import dataclasses
import enum
from pathlib import Path
from typing import Any, Self, TypeVar

from infmap_kit.errors import SpecError
from infmap_kit.model.files import read_json, write_json
from infmap_kit.model.typed import require_files, require_text, typed

LONGEST_NAME = 128
"""Characters of a model's name, and of its version."""

IMAGE_SIZE = 224
"""Height and width in pixels of the paper's networks' input (III-A), and of every network that is trained here.

A network of others may take another size, which its contract states."""

LARGEST_IMAGE_SIZE = 2048
"""Height and width in pixels of the largest input of a network that is served."""

DETECTION_THRESHOLD = 0.5
"""A pixel is of the lungs, or of a finding that names no other threshold, when its probability reaches this,
and a radiograph shows the finding when any of its pixels does (paper, II-D)."""


class Architecture(enum.StrEnum):
    """The paper's three segmentation models (II-C1), spelled as in its tables."""

    UNET = "U-Net"
    UNET_PLUS_PLUS = "UNet++"
    DLA = "DLA"


class Anatomy(enum.StrEnum):
    """The anatomy that a network learns to segment."""

    INFECTION = "infection"
    LUNGS = "lungs"


class Encoder(enum.StrEnum):
    """The paper's four encoders (II-C2), and the edge network's.

    CheXNet is DenseNet-121 with other initial weights.
    """

    CHEXNET = "CheXNet"
    DENSENET_121 = "DenseNet-121"
    INCEPTION_V3 = "Inception-v3"
    RESNET_50 = "ResNet-50"
    EFFICIENTNET_LITE_0 = "EfficientNet-Lite0"

    @property
    def in_paper(self) -> bool:
        """Whether the paper has it: not the edge network's."""
        return self is not Encoder.EFFICIENTNET_LITE_0


def _plain(text: str) -> str:
    """``text`` without case and punctuation, so that ``unetpp`` finds ``UNet++``."""
    return "".join(c for c in text.lower().replace("++", "pp") if c.isalnum())


_E = TypeVar("_E", bound=enum.StrEnum)


def member(kind: type[_E], text: str) -> _E:
    """Find the member of a vocabulary that ``text`` spells, whatever its case and punctuation.

    Raises
    ------
    SpecError
        Naming the allowed values, as they are typed.
    """
    for known in kind:
        if _plain(known) == _plain(text):
            return known
    raise SpecError(
        f"expected {kind.__name__.lower()} to be one of {', '.join(map(_plain, kind))}, found {text!r:.60}"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """One of the paper's 24 networks, or the edge network, U-Net/EfficientNet-Lite0, which is not in the paper.

    Parameters
    ----------
    architecture, encoder
        Members, or text in any spelling that is clear (``unet``, ``densenet121``). EfficientNet-Lite0 goes with
        U-Net alone.
    encoder_frozen
        Whether the encoder's layers, batch normalisation apart, keep their initial weights.
    """

    architecture: Architecture
    encoder: Encoder
    encoder_frozen: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "architecture", member(Architecture, self.architecture))
        object.__setattr__(self, "encoder", member(Encoder, self.encoder))
        if not self.encoder.in_paper and self.architecture is not Architecture.UNET:
            raise SpecError(
                f"{self.encoder} is the edge network's encoder, which goes with U-Net alone, found "
                f"{self.architecture}: take unet/{_plain(self.encoder)}"
            )

    @property
    def in_paper(self) -> bool:
        """Whether it is one of the paper's 24."""
        return self.encoder.in_paper

    @property
    def label(self) -> str:
        """Name for people, as in ``U-Net DenseNet-121, not frozen``."""
        frozen = "frozen" if self.encoder_frozen else "not frozen"
        return f"{self.architecture} {self.encoder}, {frozen}"

    @property
    def slug(self) -> str:
        """Name for files and folders, as in ``u-net-densenet-121-not-frozen``."""
        name = f"{self.architecture}-{self.encoder}".lower().replace("+", "p")
        return f"{name}-{'frozen' if self.encoder_frozen else 'not-frozen'}"

    @classmethod
    def parse(cls, text: str, *, encoder_frozen: bool = False) -> Self:
        """Read ``architecture/encoder``, such as ``unet/densenet121``."""
        architecture, _, encoder = text.partition("/")
        return cls(
            architecture=member(Architecture, architecture),
            encoder=member(Encoder, encoder),
            encoder_frozen=encoder_frozen,
        )


EDGE = NetworkSpec(architecture=Architecture.UNET, encoder=Encoder.EFFICIENTNET_LITE_0)
"""The edge network, which the paper does not have."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassifierSpec:
    """One of the paper's classifiers (III-C), which detects and does not segment.

    Its parameters are those of :class:`NetworkSpec`, with the paper's encoders alone.
    """

    encoder: Encoder
    encoder_frozen: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "encoder", member(Encoder, self.encoder))
        if not self.encoder.in_paper:
            known = ", ".join(_plain(encoder) for encoder in Encoder if encoder.in_paper)
            raise SpecError(
                f"expected one of the paper's encoders for a classifier ({known}), found {self.encoder}, which "
                "is the edge network's"
            )

    @property
    def label(self) -> str:
        """Name for people, as in ``classifier DenseNet-121, not frozen``."""
        frozen = "frozen" if self.encoder_frozen else "not frozen"
        return f"classifier {self.encoder}, {frozen}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """The hand-over record ``spec.json`` of a run folder.

    Parameters
    ----------
    name
        The model's name, for people and for DICOM objects.
    version
        The model's version, one word.
    network
        A network, or a classifier: in JSON the one without an architecture.
    files
        File name to SHA-256 of everything in the run folder that the toolkit may load.
    data_licence
        Licence of the training data.
    dataset_fingerprint
        SHA-256 over the names and pixels of the training data.
    training
        Options and versions that the training was run with.
    metrics
        Figures measured on the held-back part, by group of images.
    """

    name: str
    version: str
    network: NetworkSpec | ClassifierSpec
    files: dict[str, str]
    data_licence: str = "not stated"
    dataset_fingerprint: str = ""
    training: dict[str, Any] = dataclasses.field(default_factory=dict)
    metrics: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        require_text("name", self.name, LONGEST_NAME)
        require_text("version", self.version, LONGEST_NAME)
        require_text("data_licence", self.data_licence, 4000, empty=True)
        require_text("dataset_fingerprint", self.dataset_fingerprint, LONGEST_NAME, empty=True)
        require_files(self.files)

    @property
    def anatomy(self) -> Anatomy | str:
        """The anatomy that the network was trained on: one of :class:`Anatomy`, or another package's.

        Earlier versions called it the target, and before there was a choice it was the infection.
        """
        known = {"anatomy": self.training.get("target", Anatomy.INFECTION), **self.training}
        text = str(known["anatomy"])
        return Anatomy(text) if text in tuple(Anatomy) else text

    def write(self, path: Path) -> None:
        """Write the record as JSON; written beside and renamed."""
        write_json(path, dataclasses.asdict(self))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a record.

        Raises
        ------
        SpecError
            When the file is missing, not JSON, or lacks a field.
        """
        return cls.of(read_json(path), str(path))

    @classmethod
    def of(cls, document: object, where: str) -> Self:
        """The record of a JSON object, which errors name as ``where``.

        Raises
        ------
        SpecError
            When it is no object, lacks a field, or a field is of another type or out of its range.
        """
        if not isinstance(document, dict):
            raise SpecError(f"{where} is not a model spec: expected an object")
        own = dict(document)
        stated = own.pop("network", None)
        if not isinstance(stated, dict):
            raise SpecError(f"{where} is not a model spec: it names no network")
        kind = NetworkSpec if "architecture" in stated else ClassifierSpec
        network = typed(kind, stated, f"{where} is not a model spec: network")
        return typed(cls, own, f"{where} is not a model spec", network=network)
