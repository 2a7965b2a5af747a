"""Plans of trainings: what they name, and what is refused before anything begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from infmap_kit import paper
from infmap_kit.errors import SpecError
from infmap_train.options import FitOptions
from infmap_train.reproduction.plan import TrainingPlan

BLOCK = '[[trainings]]\narchitectures = ["unet"]\nencoders = ["densenet121"]\n'
RANDOM = BLOCK + 'fit = { encoder_weights = "none" }\n'


def _plan(text: str) -> TrainingPlan:
    return TrainingPlan.parse(text.encode(), "plan.toml", Path("/plans"))


def test_the_papers_plan_is_its_24_networks_in_five_folds_with_its_settings() -> None:
    plan = TrainingPlan.read("paper")
    assert plan.gpu
    assert len(plan.trainings) == len({training.name for training in plan.trainings}) == 120
    networks = {training.network for training in plan.trainings}
    assert networks == {paper.network_of(row) for row in paper.rows(paper.COMPLEXITY)}
    for training in plan.trainings:
        is_chexnet = training.network.encoder == "CheXNet"
        weights = "chexnet" if is_chexnet else "imagenet"
        # `fit`'s defaults are the paper's.
        assert training.options == FitOptions(
            encoder_weights=weights, fold=training.options.fold, seed=0
        )
    assert sorted({training.options.fold for training in plan.trainings}) == [0, 1, 2, 3, 4]


def test_folds_are_counted_as_their_folders_are_and_seeds_stand_above() -> None:
    plan = _plan("folds = [2]\nseeds = [7, 3]\n[fit]\nepochs = 9\nfolds = 3\n" + RANDOM)
    assert [training.name for training in plan.trainings] == [
        "seed-7/u-net-densenet-121-not-frozen/fold-2",
        "seed-3/u-net-densenet-121-not-frozen/fold-2",
    ]
    (first, _) = plan.trainings
    assert (first.options.fold, first.options.folds, first.options.epochs) == (1, 3, 9)
    assert plan.seeds == [3, 7]


def test_options_of_a_table_go_before_those_of_all_and_paths_count_from_the_plan() -> None:
    text = '[fit]\nepochs = 9\nencoder_weights = "none"\nfinding = "tb.toml"\n'
    text += BLOCK + 'fit = { encoder_weights = "w/encoder.h5", epochs = 4 }\n'
    options = _plan(text).trainings[0].options
    assert options.epochs == 4
    assert options.encoder_weights == "/plans/w/encoder.h5"
    assert options.finding == "/plans/tb.toml"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[fit", "is not TOML"),
        ("", "it lacks trainings"),
        ("trainings = []", "add a table"),
        ("trainings = 3", "trainings: expected array, found int"),
        ("epochs = 3\n" + RANDOM, "epochs is no key: expected some of trainings, folds, seeds"),
        ('gpu = "no"\n' + RANDOM, "gpu: expected bool, found str"),
        (RANDOM + "epochs = 3\n", "epochs is no key: expected some of architectures"),
        (BLOCK, "say what encoders start from"),
        (BLOCK + 'fit = { epochs = "3" }', "fit: epochs: expected int, found str"),
        (BLOCK + "fit = { epoch = 3 }", "fit: epoch is no key: expected some of .*epochs"),
        (BLOCK + "fit = { fold = 1 }", "say folds at the top"),
        (BLOCK + "fit = { seed = 1 }", "say seeds at the top"),
        (BLOCK + 'fit = { start_from = "run" }', "start_from is no key"),
        (RANDOM.replace("none", 'none", epochs = 0, schedule = "constant'), "at least 1"),
        (RANDOM + "frozen = []", "frozen is empty: name at least one"),
        (RANDOM.replace('["unet"]', '["vnet"]'), "one of unet, unetpp, dla, found 'vnet'"),
        (RANDOM.replace("densenet121", "chexnet").replace("none", "imagenet"), "CheXNet is Dense"),
        (RANDOM.replace("densenet121", "resnet50").replace("none", "chexnet"), "not ResNet-50's"),
        ("folds = [0]\n" + RANDOM, "from 1 to 5, found 0: they are counted from 1"),
        ("seeds = [-1]\n" + RANDOM, "seed must be between"),
        (RANDOM + RANDOM, "fold-1 stands in it 2 times: name it once"),
        (
            RANDOM.replace('["unet"]', '["dla"]').replace("densenet121", "efficientnetlite0"),
            "take unet/efficientnetlite0",
        ),
    ],
)
def test_what_no_training_can_do_is_refused_in_one_line(text: str, told: str) -> None:
    with pytest.raises(SpecError, match=told) as refused:
        _plan(text)
    assert str(refused.value).startswith("plan.toml")
    assert "\n" not in str(refused.value)


def test_a_plan_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"none\.toml.*or `paper`"):
        TrainingPlan.read(str(tmp_path / "none.toml"))
