"""How a network is trained; light to import, so that the command line can show the defaults."""

from __future__ import annotations

import dataclasses
from dataclasses import field
from typing import Self

from infmap_kit.errors import TrainingError
from infmap_kit.model.spec import IMAGE_SIZE, Anatomy, member


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitOptions:
    """How to train; the defaults are the paper's (III-A).

    Parameters
    ----------
    anatomy
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
        Seed of the folds, the initial weights, the order and the augmentation.
    """

    anatomy: Anatomy = field(
        default=Anatomy.INFECTION, metadata={"help": "What is segmented: infection or lungs."}
    )
    finding: str = field(
        default="",
        metadata={
            "help": "TOML file that names what is learnt; COVID-19 infection without one.",
            "metavar": "<path>",
        },
    )
    encoder_weights: str = field(
        default="none", metadata={"help": "none, imagenet, chexnet, or the path of an .h5 file."}
    )
    start_from: str = field(
        default="",
        metadata={"help": "Begin with the weights of this finished run.", "metavar": "<path>"},
    )
    epochs: int = field(default=50, metadata={"help": "Passes over the training data."})
    batch_size: int = field(default=32, metadata={"help": "Radiographs a step."})
    learning_rate: float = field(default=1e-4, metadata={"help": "Adam's learning rate."})
    schedule: str = field(
        default="constant", metadata={"help": "Of the learning rate: constant or cosine."}
    )
    mixed_precision: bool = field(
        default=False, metadata={"help": "Compute in bfloat16, keep weights in FP32."}
    )
    small_epochs: int = field(
        default=0, metadata={"help": "Begin with so many epochs of smaller pictures."}
    )
    small_size: int = field(
        default=128, metadata={"help": "Height and width of those.", "unit": "pixels"}
    )
    image_dice_epochs: int = field(
        default=0, metadata={"help": "End with so many epochs of Dice loss image by image."}
    )
    tone_jitter: float = field(
        default=0.0, metadata={"help": "Strength of tone augmentation; 0 is the paper."}
    )
    flip: bool = field(default=False, metadata={"help": "Mirror half of the pictures."})
    folds: int = field(
        default=5, metadata={"help": "In how many parts the data are split, by patient."}
    )
    fold: int = field(default=0, metadata={"help": "Which part is held back, counted from 0."})
    seed: int = field(default=0, metadata={"help": "Of split, weights, order and augmentation."})

    def __post_init__(self) -> None:
        object.__setattr__(self, "anatomy", member(Anatomy, self.anatomy))
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
