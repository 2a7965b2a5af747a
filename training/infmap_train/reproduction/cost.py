"""The estimated cost of a plan, from one timed step of each network or from a stated throughput.

Epochs alone are counted: not the reading of the data, the figures after an epoch, the evaluation and the ONNX
graph at the end.
"""

from __future__ import annotations

import dataclasses
import platform
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from infmap_kit import paper
from infmap_kit.model.run_folder import SPEC
from infmap_kit.model.spec import IMAGE_SIZE, NetworkSpec
from infmap_kit.progress import Progress, no_progress
from infmap_kit.report.table import Table
from infmap_train.data.batches import steps_per_epoch
from infmap_train.data.layouts import read_dataset
from infmap_train.networks.classifiers import build
from infmap_train.networks.complexity import complexities
from infmap_train.options import FitOptions
from infmap_train.reproduction.plan import PlannedTraining, TrainingPlan
from infmap_train.training.losses import make_hybrid_loss
from infmap_train.training.precision import choose_policy, gpu_capabilities, make_optimizer

keras = tf.keras

_ON_A_CPU = 4
"""Radiographs of the step that is timed where there is no GPU: a step's time there goes with their number."""

STATED_OF = NetworkSpec.parse("unet/densenet121")
"""The network whose throughput is stated; others are taken by their multiplications."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Counts:
    """Radiographs of a data set by class, and where the numbers are from."""

    covid: int
    normal: int
    source: str

    def steps(self, options: FitOptions) -> int:
        """Steps of an epoch of balanced classes, of the share that is learnt from."""
        share = (1 - 1 / options.folds) * (1 - options.validation_percent / 100)
        covid, normal = (round(count * share) for count in (self.covid, self.normal))
        return steps_per_epoch(np.arange(covid + normal) < covid, options.batch_size)


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkCost:
    """The cost of a plan's trainings of one network with one set of options.

    Parameters
    ----------
    network
        The network.
    trainings, left
        Number of trainings, and number of those that remain.
    steps
        Steps of one training, by the size of the pictures in pixels.
    step_s
        Seconds of one of them.
    """

    network: NetworkSpec
    trainings: int
    left: int
    steps: dict[int, int]
    step_s: dict[int, float]

    @property
    def training_s(self) -> float:
        """Seconds of one training."""
        return sum(count * self.step_s[size] for size, count in self.steps.items())

    @property
    def left_s(self) -> float:
        """Seconds of those that are left."""
        return self.left * self.training_s


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlanCost:
    """The cost of a plan.

    Parameters
    ----------
    networks
        Each network's part.
    counts
        The radiographs.
    how
        Origin of the time of a step, in a sentence.
    """

    networks: list[NetworkCost]
    counts: Counts
    how: str

    @property
    def left_s(self) -> float:
        """Seconds on one worker."""
        return sum(cost.left_s for cost in self.networks)

    def as_json(self) -> dict[str, Any]:
        """Return the estimate as a JSON document, with times in seconds."""
        return {
            "time_of_a_step": self.how,
            "covid": self.counts.covid,
            "normal": self.counts.normal,
            "radiographs_of": self.counts.source,
            "trainings": sum(cost.trainings for cost in self.networks),
            "left": sum(cost.left for cost in self.networks),
            "one_worker_s": self.left_s,
            "networks": [
                {
                    **dataclasses.asdict(cost),
                    "training_s": cost.training_s,
                    "left_s": cost.left_s,
                }
                for cost in self.networks
            ],
        }

    def table(self) -> Table:
        """Return the estimate as a table for people, with times in hours."""
        rows = [
            (
                cost.network.label,
                f"{cost.left} of {cost.trainings}",
                f"{sum(cost.steps.values()):,}",
                " and ".join(f"{seconds:.3g}" for seconds in cost.step_s.values()),
                f"{cost.training_s / 3600:,.2f}",
                f"{cost.left_s / 3600:,.2f}",
            )
            for cost in self.networks
        ]
        left = sum(cost.left for cost in self.networks)
        counts = f"{self.counts.covid:,} COVID-19 and {self.counts.normal:,} normal radiographs"
        on = [
            f"{self.left_s / 3600 / number:,.1f} h on {number}"
            for number in (1, 2, 4, 8)
            if number <= max(left, 1)
        ]
        return Table(
            "What the plan would cost, in epochs alone",
            ("network", "to train", "steps", "s a step", "h each", "h in all"),
            rows,
            notes=[
                f"{self.how}.",
                f"{counts}: {self.counts.source}.",
                f"By workers: {', '.join(on)}.",
            ],
        )


def count_radiographs(data: Path | None, options: FitOptions) -> Counts:
    """Radiographs of a folder, none of which is decoded; without one, the paper's.

    Raises
    ------
    TrainingError
        When the folder is no data set.
    """
    if data is None:
        of = {row["class"]: int(row["samples"]) for row in paper.rows(paper.COUNTS)}
        return Counts(covid=of["COVID-19"], normal=of["Normal"], source="the paper's Table II")
    samples = read_dataset(data, options)
    covid = sum(sample.covid for sample in samples)
    return Counts(covid=covid, normal=len(samples) - covid, source=f"those of {data}")


def cost_of(
    plan: TrainingPlan,
    *,
    data: Path | None = None,
    runs: Path | None = None,
    throughput: float = 0.0,
    progress: Progress = no_progress,
) -> PlanCost:
    """Reckon what a plan costs.

    Parameters
    ----------
    data
        Whose radiographs are counted; the paper's numbers without.
    runs
        Folder of the plan's runs: what is finished there costs nothing more.
    throughput
        Radiographs of 224x224 a second in the training of U-Net with DenseNet-121, stated instead of measured.
    """
    groups = _groups(plan)
    counts = count_radiographs(data, plan.trainings[0].options)
    if throughput:
        how = (
            f"Stated: {throughput:g} radiographs a second of {STATED_OF.label}; other networks by their "
            "multiplications, smaller pictures by their pixels, the batch and what is frozen left aside"
        )
        networks = [trainings[0].network for trainings in groups]
        *sizes, stated = complexities([*networks, STATED_OF], progress=progress)
        rates = [throughput * stated.gmac / size.gmac for size in sizes]
        step_s = [
            {
                size: trainings[0].options.batch_size / rate * (size / IMAGE_SIZE) ** 2
                for size in _epochs_by_size(trainings[0].options)
            }
            for trainings, rate in zip(groups, rates, strict=True)
        ]
    else:
        how = f"Measured: one step of each network on {_device()}, after one to warm up"
        step_s = list(_measured(groups, progress))
    costs = []
    for trainings, seconds in zip(groups, step_s, strict=True):
        options = trainings[0].options
        steps = counts.steps(options)
        done = sum(bool(runs and (runs / one.name / SPEC).is_file()) for one in trainings)
        costs.append(
            NetworkCost(
                network=trainings[0].network,
                trainings=len(trainings),
                left=len(trainings) - done,
                steps={size: n * steps for size, n in _epochs_by_size(options).items()},
                step_s=seconds,
            )
        )
    return PlanCost(networks=costs, counts=counts, how=how)


def _groups(plan: TrainingPlan) -> list[list[PlannedTraining]]:
    """Trainings that differ in fold and seed alone."""
    groups: dict[tuple[NetworkSpec, FitOptions], list[PlannedTraining]] = {}
    for training in plan.trainings:
        alike = dataclasses.replace(training.options, fold=0, seed=0)
        groups.setdefault((training.network, alike), []).append(training)
    return list(groups.values())


def _epochs_by_size(options: FitOptions) -> dict[int, int]:
    sizes = [options.image_size(epoch) for epoch in range(options.epochs)]
    return {size: sizes.count(size) for size in dict.fromkeys(sizes)}


def _device() -> str:
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        return str(details.get("device_name", "a GPU"))
    return f"{platform.node()}, without a GPU, of {_ON_A_CPU} radiographs at most"


def _measured(
    groups: Sequence[list[PlannedTraining]], progress: Progress
) -> Iterator[dict[int, float]]:
    has_gpu = bool(tf.config.list_physical_devices("GPU"))
    for done, trainings in enumerate(groups):
        network, options = trainings[0].network, trainings[0].options
        progress(f"a step of {network.label}", done, len(groups))
        measured = options.batch_size if has_gpu else min(options.batch_size, _ON_A_CPU)
        seconds = _steps_s(network, options, measured)
        yield {size: s * options.batch_size / measured for size, s in seconds.items()}
        keras.backend.clear_session()


def _steps_s(network: NetworkSpec, options: FitOptions, batch: int) -> dict[int, float]:
    """Seconds of a step with so many radiographs, by size; whatever pixels and weights they are."""
    policy = choose_policy(options.mixed_precision, gpu_capabilities())
    keras.mixed_precision.set_global_policy(policy)
    try:
        model = build(network, image_size=None)
        loss = make_hybrid_loss(per_image=False, smooth_pixels=options.dice_smooth_pixels)
        model.compile(make_optimizer(options.learning_rate, policy), loss=loss)
        rng = np.random.default_rng(0)
        seconds = {}
        for size in _epochs_by_size(options):
            image = rng.random((batch, size, size, 3), np.float32)
            mask = (rng.random((batch, size, size, 1)) > 0.9).astype(np.float32)
            # The first step traces the graph.
            model.train_on_batch(image, mask)
            begun_s = time.perf_counter()
            model.train_on_batch(image, mask)
            seconds[size] = time.perf_counter() - begun_s
        return seconds
    finally:
        keras.mixed_precision.set_global_policy("float32")
