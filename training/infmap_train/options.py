"""Options of a training; light to import, so that the command line can show the defaults."""

from __future__ import annotations

import dataclasses
import enum
import math
import re
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from infmap_kit.errors import TrainingError
from infmap_kit.model.spec import IMAGE_SIZE, Anatomy, Encoder, member


def _option(default: Any, text: str, **metadata: str) -> Any:
    """A field with its help on the command line, and what else `infmap_kit.cli.options` reads."""
    return dataclasses.field(default=default, metadata={"help": text, **metadata})


class Source(enum.StrEnum):
    """Values of ``--encoder-weights`` other than a path."""

    NONE = "none"
    IMAGENET = "imagenet"
    CHEXNET = "chexnet"

    def refuse_others(self, encoder: Encoder) -> None:
        """Refuse an encoder whose weights these are not.

        Raises
        ------
        TrainingError
            Naming those that are.
        """
        if self is Source.CHEXNET and encoder not in (Encoder.CHEXNET, Encoder.DENSENET_121):
            raise TrainingError(f"CheXNet's weights are DenseNet-121's, and not {encoder}'s")
        if self is Source.IMAGENET and encoder is Encoder.CHEXNET:
            raise TrainingError(
                "CheXNet is DenseNet-121 with weights learnt from ChestX-ray14: pass "
                "--encoder-weights chexnet or a path, or take densenet121 with imagenet"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """The options for reading a folder of radiographs.

    Parameters
    ----------
    reader
        Name of the reader, of :mod:`infmap_train.data.readers`. Empty: the one that knows the folder.
    group_pattern
        Regular expression. Where nobody says who the patient is, what its first group (or all of it,
        where it has none) finds in the path below the folder is taken for it.
    negatives
        Class beyond COVID-19 and normal whose radiographs are taken as negatives, too: ``other``. Empty: they
        are left out.
    """

    recorded: ClassVar[bool] = False
    """Whether they are a run's, so that what does not fit another folder is left aside."""

    reader: str = _option(
        "",
        "Name of the reader to use instead of the one that recognises the folder.",
        metavar="<name>",
    )
    group_pattern: str = _option(
        "",
        "Regular expression. The part of a file's path that it matches identifies the patient if "
        "nothing else does.",
        metavar="<regex>",
    )
    negatives: str = _option(
        "",
        "Class of radiographs to train on as negatives besides the normal ones: other.",
        metavar="<class>",
    )

    def __post_init__(self) -> None:
        if self.negatives not in ("", "other"):
            raise TrainingError(
                f"expected other as the class of negatives, found {self.negatives!r}"
            )
        try:
            re.compile(self.group_pattern)
        except re.error as error:
            raise TrainingError(
                f"expected a regular expression as --group-pattern, found {self.group_pattern!r}: {error}"
            ) from error

    @classmethod
    def of_training(cls, training: Mapping[str, Any]) -> ReadOptions:
        """The options by which the data of a run were read, from its record. Earlier versions had none."""
        names = [field.name for field in dataclasses.fields(ReadOptions)]
        return _RecordedOptions(**{name: str(training.get(name, "")) for name in names})


class _RecordedOptions(ReadOptions):
    recorded = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitOptions(ReadOptions):
    """Options of a training; the defaults are the paper's (III-A).

    Parameters
    ----------
    reader, group_pattern, negatives
        Options for reading the data.
    anatomy
        The anatomy that is segmented. Where only some radiographs have a lung mask, the folds are those
        of the infection all the same: one seed holds back the same patients for both.
    finding
        TOML file of the finding (see :mod:`infmap_kit.model.finding`), which the run folder takes a copy
        of. Empty: COVID-19 infection.
    encoder_weights
        Initial weights of the encoder: ``none`` (random), ``imagenet``, ``chexnet`` or a path. The
        paper takes the second, and the third for CheXNet; both must be downloaded. There is no default:
        :meth:`refuse_undecided` asks for the choice. With ``start_from`` it is ``none``.
    start_from
        Run folder of a finished run of the same network, to begin with all its weights: to train
        longer, or to tune a network to another hospital's radiographs. Empty: begin anew.
    epochs, batch_size, learning_rate
        The paper's, by default.
    schedule
        ``constant`` as in the paper, or ``cosine``: one epoch of warm-up, then decay to zero.
    mixed_precision
        Compute in bfloat16, or in float16 with loss scaling on GPUs that know no bfloat16 (before SM80),
        and keep the weights in FP32.
    small_epochs, small_size
        Begin with that many epochs at a smaller picture size (not in the paper): a from-scratch
        network learns the coarse things there at a third of the cost.
    image_dice_epochs
        End with that many epochs in which the Dice loss is each image's, not the batch's: stray pixels
        on normal images then count (see :func:`infmap_train.training.losses.dice_loss`).
    dice_smooth_pixels
        Pixels (of 224x224) that are added above and below in the Dice loss; 0 is eq. 7 as it reads (see
        :func:`infmap_train.training.losses.dice_loss`).
    validation_percent
        So much of the training part, by patient, is not learnt from but watched; 0 is the paper, and what is
        watched is then learnt from as well. The held-back part is never watched.
    early_stopping
        End when the watched figure has not risen for so many epochs, and hand over the weights of the best
        epoch; 0 trains to the end and hands over the last weights. Epochs of smaller pictures, and those
        before the last ones with a Dice loss of their own, are not compared.
    tone_jitter
        Strength of brightness, contrast and gamma augmentation (not in the paper).
    zoom_jitter
        Strength of random stretching of height and width (not in the paper).
    flip
        Mirror half of the pictures left to right (not in the paper: hearts lie left).
    ema_momentum
        Each epoch ends with the weights' exponential moving average over its steps, and goes on from there
        (not in the paper); 0 averages nothing. Of Keras' Adam.
    folds, fold
        The held-back part is this fold of so many.
    seed
        Seed of the folds, the initial weights, the order and the augmentation.
    """

    anatomy: Anatomy = _option(Anatomy.INFECTION, "Anatomy to segment: infection or lungs.")
    finding: str = _option(
        "", "TOML file of the finding. The default is COVID-19 infection.", metavar="<path>"
    )
    encoder_weights: str = _option(
        "",
        "Initial weights of the encoder: imagenet (as in the paper), chexnet, none (random), or a "
        "file (.h5 or .pth.tar). There is no default.",
    )
    start_from: str = _option(
        "",
        "Run folder of a finished training whose weights are the initial ones.",
        metavar="<path>",
    )
    epochs: int = _option(50, "Number of passes over the training data.")
    batch_size: int = _option(32, "Number of radiographs per training step.")
    learning_rate: float = _option(1e-4, "Learning rate of Adam.")
    schedule: str = _option("constant", "Schedule of the learning rate: constant or cosine.")
    mixed_precision: bool = _option(False, "Compute in 16 bits, and keep the weights in FP32.")
    small_epochs: int = _option(0, "Number of epochs, at the beginning, with smaller pictures.")
    small_size: int = _option(128, "Height and width of the smaller pictures.", unit="pixels")
    image_dice_epochs: int = _option(
        0,
        "Number of epochs, at the end, with the Dice loss of each image instead of that of the batch.",
    )
    dice_smooth_pixels: float = _option(
        100.0,
        "Smoothing term that is added to numerator and denominator of the Dice loss; 0 is the paper's "
        "eq. 7.",
        unit="pixels",
    )
    validation_percent: int = _option(
        0, "Percent of the training part, by patient, to validate on instead of training on it."
    )
    early_stopping: int = _option(
        0,
        "Number of epochs without improvement on the validation part after which training ends; the "
        "best epoch is kept.",
    )
    tone_jitter: float = _option(
        0.0, "Strength of the augmentation of gray values; 0 is the paper's setting."
    )
    zoom_jitter: float = _option(0.0, "Strength of random stretching; 0 is the paper's setting.")
    flip: bool = _option(False, "Mirror half of the pictures at random.")
    ema_momentum: float = _option(
        0.0,
        "Momentum of the exponential moving average of the weights; 0 (as in the paper) averages "
        "nothing.",
    )
    folds: int = _option(5, "Number of folds that the data are split into, by patient.")
    fold: int = _option(0, "Fold that is held back, counted from 0.")
    seed: int = _option(
        0, "Seed of the split, the initial weights, the order and the augmentation."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "anatomy", member(Anatomy, self.anatomy))
        if self.start_from and not self.encoder_weights:
            # What a run starts from brings its encoder, so that nothing is left to choose.
            object.__setattr__(self, "encoder_weights", "none")
        checks = (
            (
                not self.start_from or self.encoder_weights == "none",
                "a run to start from brings its encoder: leave encoder weights at none",
            ),
            (self.epochs >= 1, "epochs must be at least 1"),
            (self.batch_size >= 1, "batch size must be at least 1"),
            (0 < self.learning_rate <= 1, "learning rate must be above 0, and at most 1"),
            (self.schedule in ("constant", "cosine"), "schedule must be constant or cosine"),
            (0 <= self.small_epochs <= self.epochs, "small epochs must be between 0 and epochs"),
            (
                0 <= self.image_dice_epochs <= self.epochs,
                "image dice epochs must be between 0 and epochs",
            ),
            (
                self.small_size in range(32, IMAGE_SIZE + 1, 32),
                f"small size must divide by 32 and be at most {IMAGE_SIZE}",
            ),
            (
                math.isfinite(self.dice_smooth_pixels) and self.dice_smooth_pixels >= 0,
                "dice smooth pixels must be a number from 0 on",
            ),
            (
                self.validation_percent == 0 or 5 <= self.validation_percent <= 50,
                "validation percent must be 0 or between 5 and 50",
            ),
            (self.early_stopping >= 0, "early stopping must be 0 or a number of epochs"),
            (
                not self.early_stopping or self.validation_percent > 0,
                "early stopping watches what is not learnt from: add --validation-percent 10",
            ),
            (0 <= self.tone_jitter < 1, "tone jitter must be in [0, 1)"),
            (0 <= self.zoom_jitter < 1, "zoom jitter must be in [0, 1)"),
            (0 <= self.ema_momentum < 1, "EMA momentum must be in [0, 1)"),
            (self.folds >= 2, "folds must be at least 2"),
            (0 <= self.fold < self.folds, "fold must be between 0 and folds - 1"),
            (0 <= self.seed < 2**31 // 100_003, "seed must be between 0 and 21473"),
        )
        wrong = [text for fine, text in checks if not fine]
        if wrong:
            raise TrainingError("; ".join(wrong))

    def refuse_undecided(self) -> None:
        """Ask for the encoder's initial weights where nobody chose them.

        Raises
        ------
        TrainingError
            Naming the choices.
        """
        if not self.encoder_weights:
            raise TrainingError(
                "choose what the encoder starts from: --encoder-weights imagenet (as the paper; downloads "
                "once), chexnet or a FILE (.h5 or .pth.tar; the paper's for CheXNet), or none (random, not "
                "the paper's)"
            )

    @classmethod
    def of_classifiers(cls) -> Self:
        """The paper's options for its classifiers (III-A): fewer epochs and smaller steps."""
        return cls(epochs=10, learning_rate=1e-5)

    def image_size(self, epoch: int) -> int:
        """Height and width of the pictures in an epoch, counted from 0."""
        return self.small_size if epoch < self.small_epochs else IMAGE_SIZE

    def dice_per_image(self, epoch: int) -> bool:
        """Whether the Dice loss of an epoch, counted from 0, is each image's."""
        return epoch >= self.epochs - self.image_dice_epochs

    def comparable_epoch(self, epoch: int) -> bool:
        """Whether an epoch, counted from 0, has the last one's pictures and loss."""
        last = self.epochs - 1
        return self.image_size(epoch) == self.image_size(last) and self.dice_per_image(
            epoch
        ) == self.dice_per_image(last)
