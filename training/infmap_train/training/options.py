"""How a network is trained; light to import, so that the command line can show the defaults."""

from __future__ import annotations

import dataclasses
import enum
from typing import Self

from infmap_kit.errors import TrainingError
from infmap_kit.model.spec import IMAGE_SIZE, member


class Target(enum.StrEnum):
    """What a network learns to segment."""

    INFECTION = "infection"
    LUNGS = "lungs"


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitOptions:
    """How to train; the defaults are the paper's (III-A).

    Parameters
    ----------
    target
        What is segmented. Where only some radiographs have a lung mask, the folds are those of the
        infection all the same: one seed holds back the same patients for both.
    finding
        TOML file of what is learnt, where that is not COVID-19 infection (see
        :mod:`infmap_kit.model.finding`): the run folder takes a copy. Empty: COVID-19 infection.
    encoder_weights
        Initial weights of the encoder: ``none`` (random), ``imagenet``, ``chexnet`` or a path. The
        paper takes the second, and the third for CheXNet; both must be downloaded.
    start_from
        Run folder of a finished run of the same network, to begin with all its weights: to train
        longer, or to tune a network to another hospital's radiographs. Empty: begin anew.
    epochs, batch_size, learning_rate
        As in the paper.
    schedule
        ``constant`` as in the paper, or ``cosine``: one epoch of warm-up, then decay to zero.
    mixed_precision
        Compute in bfloat16 and keep the weights in FP32.
    small_epochs, small_size
        Begin with that many epochs at a smaller picture size (not in the paper): a from-scratch
        network learns the coarse things there at a third of the cost.
    image_dice_epochs
        End with that many epochs in which the Dice loss is of each image, not of the batch: stray
        pixels on normal images then count (see :func:`infmap_train.training.losses.dice_loss`).
    tone_jitter
        Strength of brightness, contrast and gamma augmentation (not in the paper).
    flip
        Mirror half of the pictures left to right (not in the paper: hearts lie left).
    folds, fold
        The held-back part is this fold of so many.
    seed
        Of the folds, initial weights, order and augmentation.
    """

    target: Target = Target.INFECTION
    finding: str = dataclasses.field(
        default="",
        metadata={"help": "TOML file that names what is learnt; COVID-19 infection without one."},
    )
    encoder_weights: str = "none"
    start_from: str = ""
    epochs: int = 50
    batch_size: int = 32
    learning_rate: float = 1e-4
    schedule: str = "constant"
    mixed_precision: bool = False
    small_epochs: int = 0
    small_size: int = 128
    image_dice_epochs: int = 0
    tone_jitter: float = 0.0
    flip: bool = False
    folds: int = 5
    fold: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "target", member(Target, self.target))
        checks = (
            (
                not self.start_from or self.encoder_weights == "none",
                "a run to start from brings its encoder: leave encoder weights at none",
            ),
            (self.epochs >= 1, "epochs must be at least 1"),
            (self.batch_size >= 1, "batch size must be at least 1"),
            (self.learning_rate > 0, "learning rate must be above 0"),
            (self.schedule in ("constant", "cosine"), "schedule must be constant or cosine"),
            (0 <= self.small_epochs <= self.epochs, "small epochs must be between 0 and epochs"),
            (
                0 <= self.image_dice_epochs <= self.epochs,
                "image dice epochs must be between 0 and epochs",
            ),
            (self.small_size % 32 == 0 and self.small_size > 0, "small size must divide by 32"),
            (0 <= self.tone_jitter < 1, "tone jitter must be in [0, 1)"),
            (self.folds >= 2, "folds must be at least 2"),
            (0 <= self.fold < self.folds, "fold must be between 0 and folds - 1"),
            (0 <= self.seed < 2**31 // 100_003, "seed must be between 0 and 21473"),
        )
        wrong = [text for fine, text in checks if not fine]
        if wrong:
            raise TrainingError("; ".join(wrong))

    @classmethod
    def of_classifiers(cls) -> Self:
        """The paper's for its classifiers (III-A): fewer epochs and smaller steps, else the same."""
        return cls(epochs=10, learning_rate=1e-5)

    def image_size(self, epoch: int) -> int:
        """Height and width of the pictures in an epoch, counted from 0."""
        return self.small_size if epoch < self.small_epochs else IMAGE_SIZE
