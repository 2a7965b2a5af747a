"""Opinions: kept, read again, and read by training and by annotation as a reader's."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from infmap_annotate.study.candidates import add_mask_folder
from infmap_annotate.study.collection import init_study
from infmap_annotate.study.folder import Study
from infmap_kit.errors import ViewError
from infmap_kit.view.gallery import Card, Gallery
from infmap_kit.view.opinions import Opinion, Opinions
from infmap_train.data.scores import read_scores
from pictures import read_picture
from view_results import field


def _card(gallery: Gallery, stem: str) -> Card:
    return next(card for card in gallery.cards() if card.stem == stem)


def test_an_opinion_outlives_the_server(gallery: Gallery) -> None:
    card = _card(gallery, "chest_1")
    said = Opinion(
        mark="disagree", severity_percent=12.5, threshold=0.4, note='"note",\nin two lines; =1+1'
    )
    Opinions(gallery, "anna").state(card.id, said)
    again = Opinions(gallery, "anna").stated(gallery.cards())
    assert again == {
        card.id: {"mark": "disagree", "severity_percent": 12.5, "threshold": 0.4, "note": said.note}
    }
    assert Opinions(gallery, "ben").stated(gallery.cards()) == {}
    file = gallery.folder / "opinions" / "anna" / "opinions.csv"
    assert file.stat().st_mode & 0o077 == 0


def test_an_opinion_is_taken_back(gallery: Gallery) -> None:
    card, opinions = _card(gallery, "chest_1"), Opinions(gallery, "anna")
    opinions.state(card.id, Opinion(mark="agree"))
    assert (opinions.folder / "masks" / "chest_1.png").exists()
    opinions.state(card.id, Opinion())
    assert Opinions(gallery, "anna").stated(gallery.cards()) == {}
    assert not (opinions.folder / "masks" / "chest_1.png").exists()


def test_training_reads_it_as_an_experts_score(gallery: Gallery) -> None:
    opinions = Opinions(gallery, "anna")
    opinions.state(_card(gallery, "chest_1").id, Opinion(mark="disagree", severity_percent=40))
    # The model's own severity is not the reader's: agreement alone is no score.
    opinions.state(_card(gallery, "chest_0").id, Opinion(mark="agree"))
    names, ratings = read_scores(opinions.file)
    assert names == ("chest_1", "chest_0")
    (rating,) = ratings
    assert rating.label == "reader"
    assert np.array_equal(rating.total, [40, np.nan], equal_nan=True)


def test_annotation_reads_the_mask_that_was_agreed_with(gallery: Gallery, tmp_path: Path) -> None:
    opinions = Opinions(gallery, "anna")
    opinions.state(_card(gallery, "chest_1").id, Opinion(mark="agree", threshold=0.62))
    data = tmp_path / "data"
    (data / "images").mkdir(parents=True)
    (data / "images" / "chest_1.png").write_bytes((tmp_path / "in" / "chest_1.png").read_bytes())
    (data / "index.csv").write_text("name,file,class,group\nchest_1,images/chest_1.png,covid,1\n")
    init_study(tmp_path / "study", data, first=["ben"])
    study = Study(tmp_path / "study")
    assert add_mask_folder(study, "anna-in-the-viewer", 2, opinions.folder / "masks") == 1
    study.database.close()
    (kept,) = (tmp_path / "study" / "masks").glob("*.png")
    expected = cv2.resize(field(0), (360, 400), interpolation=cv2.INTER_LINEAR) >= 0.62
    assert ((read_picture(kept, gray=True) > 0) != expected).mean() < 1e-3


@pytest.mark.parametrize(
    "wrong",
    [{"mark": "perhaps"}, {"severity_percent": 101.0}, {"severity_percent": float("nan")},
     {"threshold": 1.5}, {"note": "x" * 2001}],
)  # fmt: skip
def test_what_no_reader_can_say_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ViewError):
        Opinion(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("reader", ["", "../anna", "a/b", ".anna", "x" * 41, "anna\n"])
def test_a_readers_name_leads_nowhere_else(gallery: Gallery, reader: str) -> None:
    with pytest.raises(ViewError, match="--reader"):
        Opinions(gallery, reader)


@pytest.mark.parametrize("content", ["name,x\na,1\n", "\xff", "name\nchest_1\n"])
def test_a_file_of_something_else_is_not_written_over(gallery: Gallery, content: str) -> None:
    folder = gallery.folder / "opinions" / "anna"
    folder.mkdir(parents=True)
    (folder / "opinions.csv").write_bytes(content.encode("latin-1"))
    with pytest.raises(ViewError, match=r"opinions\.csv"):
        Opinions(gallery, "anna")
