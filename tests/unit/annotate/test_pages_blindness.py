"""Before a pick nothing tells whose mask is at which slot."""

from __future__ import annotations

import re
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from doctors import Doctor, Site, new_study
from infmap_annotate.reading.verdict import Jury
from infmap_annotate.reading.worklist import Worklist
from infmap_annotate.study.candidates import add_model, pictures_of_stage
from infmap_annotate.study.readers import readers
from infmap_annotate.web.pictures import PictureCache

MODELS = ("model-of-acme", "model-of-umbrella", "empty-model", "twin-of-empty")


def _site(tmp_path: Path) -> Site:
    """Masks that differ in all that could be measured: full, empty, noise; two with one content."""
    study, tokens = new_study(tmp_path, drawn=3, models=MODELS[:2])
    for name in MODELS[2:]:
        masks = {p.id: np.zeros((p.height, p.width), bool) for p in pictures_of_stage(study, 1)}
        add_model(study, name, 1, masks, {"made_by": "tests"})
    return Site(study, tokens)


def _told(answer: Any) -> dict[str, str]:
    """Headers but those that differ between any two answers."""
    return {k.lower(): v for k, v in answer.headers.items() if k.lower() != "date"}


def test_masks_of_an_item_differ_in_nothing_but_pixels(tmp_path: Path) -> None:
    with _site(tmp_path).open() as site:
        anna = site.enter("anna")
        item = anna.item()
        answers = [anna.get(candidate["mask"]) for candidate in item["candidates"]]
        assert len(answers) == 5
        assert len({len(answer.content) for answer in answers}) == 1
        assert all(_told(answer) == _told(answers[0]) for answer in answers)
        assert "etag" not in _told(answers[0])
        assert "last-modified" not in _told(answers[0])
        # Everything up to the first byte of pixels: no text, no time, no program's name.
        assert len({answer.content[:43] for answer in answers}) == 1
        # Twins are sent twice, as anything is.
        assert len({answer.content for answer in answers}) == 4


def test_nothing_that_is_sent_names_a_model_a_file_or_a_radiograph(tmp_path: Path) -> None:
    with _site(tmp_path).open() as site:
        anna = site.enter("anna")
        secrets = [
            *MODELS,
            "drawn",
            "covid_",
            "patient-",
            str(site.study.folder),
            site.study.data.name,
        ]
        secrets += [file.stem for file in (site.study.folder / "masks").iterdir()]
        secrets += [file.stem for file in site.study.data.rglob("*.png")]
        item = anna.item()
        paths = [
            "/api/items/current", f"/api/items/{item['item']}/following", item["image"],
            *(candidate["mask"] for candidate in item["candidates"]),
        ]  # fmt: skip
        for path in paths:
            answer = anna.get(path)
            everything = path.encode() + repr(_told(answer)).encode() + answer.content
            found = [word for word in secrets if word.encode() in everything]
            assert found == [], path


def test_names_are_a_readers_own_and_carry_no_order(tmp_path: Path) -> None:
    with _site(tmp_path).open() as site:
        names: dict[str, set[str]] = {}
        for who in ("anna", "ben"):
            doctor = site.enter(who)
            names[who] = set()
            for _ in range(3):
                item = doctor.item()
                assert re.fullmatch(r"[\w-]{22}", item["item"])
                assert [c["slot"] for c in item["candidates"]] == [1, 2, 3, 4, 5]
                names[who].add(item["item"])
                doctor.decide("skip")
        assert len(names["anna"] | names["ben"]) == 6
        # One reader's names open nothing to another.
        ben = site.enter("ben")
        for name in names["anna"]:
            assert ben.get(f"/api/items/{name}/masks/1.png").status_code == 404


def test_after_a_pick_nothing_is_told_either(tmp_path: Path) -> None:
    with _site(tmp_path).open() as site:
        anna = site.enter("anna")
        answer = anna.post(item=anna.item()["item"], kind="pick", slot=1)
        assert not any(model in answer.text for model in (*MODELS, "drawn"))
        back = anna.post(item=anna.item()["item"], kind="undo")
        assert not any(model in back.text for model in (*MODELS, "drawn"))


def _rounds(doctor: Doctor, item: dict[str, Any], rounds: int) -> dict[int, list[float]]:
    took: dict[int, list[float]] = {c["slot"]: [] for c in item["candidates"]}
    rng = np.random.default_rng(0)
    for _ in range(rounds):
        for slot in rng.permutation(list(took)):
            before = time.perf_counter()
            doctor.get(f"/api/items/{item['item']}/masks/{slot}.png")
            took[int(slot)].append(time.perf_counter() - before)
    return took


def test_how_long_a_mask_takes_tells_nothing(tmp_path: Path) -> None:
    with _site(tmp_path).open() as site:
        anna = site.enter("anna")
        took = _rounds(anna, anna.item(), 60)
        medians = {slot: statistics.median(times) for slot, times in took.items()}
        middle = statistics.median(medians.values())
        # A mask that was drawn and one that was predicted differ by less than others' requests do;
        # one that is made while it is waited for takes several times as long.
        assert all(0.6 * middle < median < 1.6 * middle for median in medians.values()), medians


def test_whoever_asks_while_pictures_are_read_waits_as_long_for_every_mask(tmp_path: Path) -> None:
    site = _site(tmp_path)
    reader = next(one for one in readers(site.study) if one.name == "anna")
    item = Worklist(site.study, Jury(site.study)).desk(reader).current
    assert item is not None
    reads: list[str] = []
    read_mask = site.study.read_mask

    def counted(file: str, sha256: str) -> bytes:
        reads.append(file)
        time.sleep(0.01)
        return read_mask(file, sha256)

    site.study.read_mask = counted  # type: ignore[method-assign]
    took: dict[int, list[float]] = {slot: [] for slot in range(1, 6)}
    rng = np.random.default_rng(0)
    for _ in range(8):
        # As after a restart, with all masks of an item requested at once, in any order.
        cache = PictureCache(site.study)

        def ask(slot: int, cache: PictureCache = cache) -> None:
            before = time.perf_counter()
            assert cache.get(item).masks[slot - 1] is not None
            took[slot].append(time.perf_counter() - before)

        with ThreadPoolExecutor(5) as pool:
            list(pool.map(ask, map(int, rng.permutation(list(took)))))
        cache.close()
    assert len(reads) == 8 * 5, "one reads for all, and the same for each"
    medians = [statistics.median(times) for times in took.values()]
    assert max(medians) < 1.3 * min(medians), medians


def test_the_first_look_comes_from_memory_for_every_mask(tmp_path: Path, monkeypatch: Any) -> None:
    with _site(tmp_path).open() as site:
        anna = site.enter("anna")
        item = anna.item()
        following = anna.get(f"/api/items/{item['item']}/following").json()
        # From here on nothing may be read from disk, for what is shown or what comes next.
        real = Path.read_bytes

        def forbidden(path: Path) -> bytes:
            assert "masks" not in path.parts
            return real(path)

        monkeypatch.setattr(Path, "read_bytes", forbidden)
        for shown in (item, following):
            for candidate in shown["candidates"]:
                assert anna.get(candidate["mask"]).status_code == 200


def test_equal_masks_by_two_models_stand_at_places_of_their_own(tmp_path: Path) -> None:
    with _site(tmp_path).open() as site:
        anna = site.enter("anna")
        masks = anna.masks(anna.item())
        empty = [slot for slot, mask in enumerate(masks) if not mask.any()]
        assert len(empty) == 2
