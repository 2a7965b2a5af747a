"""Reports say what was measured, on what, and put Table V beside it and not against it."""

from __future__ import annotations

import csv
import dataclasses
import html.parser
import io
import itertools
from pathlib import Path

import pytest
from rich.console import Console

from bench_records import bench_record
from infmap_kit.bench.records.page import page
from infmap_kit.bench.records.report import markdown, write_record
from infmap_kit.bench.records.sentences import verdict
from infmap_kit.bench.records.tables import csv_table, latency_table
from infmap_kit.bench.records.waterfall import stages_of
from infmap_kit.bench.scopes import BASELINES, ENGINE_ALONE, FILE_TO_MAP
from infmap_kit.bench.statistics import PairedRatio
from infmap_kit.report.charts import Bar, Curve, bars, curves, nice_ticks
from infmap_kit.report.drawing import Line


def test_table_5_stands_beside_with_its_machine() -> None:
    record = bench_record()
    row = record.paper_row
    assert row is not None
    assert (row.time_ms, row.trainable_as_printed) == (2.58, "12.06M")
    for text in (markdown(record), page(record)):
        for expected in (
            "2.58 ms",
            "12.06M",
            "another machine",
            "RTX 2080 Ti",
            "a processor",
            "no GPU",
        ):
            assert expected in text


def test_an_unknown_network_has_no_row() -> None:
    unknown = dataclasses.replace(bench_record(), model={"name": "mine", "version": "1"})
    assert unknown.paper_row is None
    assert "has no row of this network" in markdown(unknown)
    assert "on an RTX 2080 Ti" not in page(unknown)


def test_accuracy_stands_beside_latency() -> None:
    text = markdown(bench_record())
    assert "Dice of 0.9951 over 20 pictures, no detection changed" in text
    assert "pixels F1 0.754" in text


def test_goals_are_said_to_be_reached_or_not() -> None:
    record = bench_record()
    slow = dataclasses.replace(
        record, scopes={**record.scopes, FILE_TO_MAP: record.scopes[next(iter(BASELINES))]}
    )
    name = f"{FILE_TO_MAP} / {ENGINE_ALONE}"
    found = slow.ratios[name]
    for one, said in ((record, "reached"), (slow, "missed")):
        (line,) = (line for line in markdown(one).splitlines() if line.startswith(f"| {name}"))
        assert line.split("|")[-2].strip() == said
    assert f"{found.low:.2f} to {found.high:.2f}" in markdown(slow)


def test_the_edge_network_has_goals_of_its_own() -> None:
    record = bench_record()
    edge = {"architecture": "U-Net", "encoder": "EfficientNet-Lite0", "encoder_frozen": False}
    small = dataclasses.replace(record, model={**record.model, "network": edge})
    rows = [line for line in markdown(small).splitlines() if line.startswith("| engine alone / ")]
    assert not any("Table V" in row for row in rows)
    for row in rows:
        assert ("| 0.0" in row) == ("other model" in row)
    assert "| 0.085 |" in markdown(small), "not rounded to 0.09"
    unknown = dataclasses.replace(record, model={**record.model, "network": None})
    assert "missed" not in markdown(unknown)
    assert "Goals are" not in markdown(unknown)


def test_ratios_lead_the_reports() -> None:
    record = bench_record()
    for text in (markdown(record), page(record)):
        table = text.index(f"{ENGINE_ALONE} / Table V")
        assert table < text.index("p50 ms")
        for other in BASELINES:
            assert text.index(f"{ENGINE_ALONE} / {other}") < text.index("p50 ms")


def test_a_goal_within_the_interval_is_neither_reached_nor_missed() -> None:
    found = PairedRatio(ratio=0.30, low=0.28, high=0.32, pairs=20)
    assert [verdict(found, goal) for goal in (0.33, 0.30, 0.27)] == [
        "reached",
        "not sure",
        "missed",
    ]


def test_latency_under_load_is_never_among_the_latencies() -> None:
    text = markdown(bench_record())
    latencies, load = text.split("## Throughput")
    assert "batch" not in latencies.lower().replace("batch 1,", "")
    assert "no latency of a request at rest" in load
    assert "from when each request was due" in load


def test_stages_add_up_to_file_to_map() -> None:
    record = bench_record()
    stages = stages_of(record)
    assert sum(stage.ms for stage in stages) == pytest.approx(record.scopes[FILE_TO_MAP].p50_ms)
    assert stages_of(dataclasses.replace(record, server={})) == []


def test_what_speaks_against_the_figures_stands_at_the_top() -> None:
    record = dataclasses.replace(
        bench_record(),
        warnings=["The machine was loaded."],
        failure="the server ended",
        doubts={ENGINE_ALONE: "wobbles"},
    )
    for text in (markdown(record), page(record)):
        head = text[: text.index("Everything around")]
        for sentence in ("The machine was loaded.", "the server ended", "engine alone: wobbles"):
            assert sentence in head


def test_a_record_without_any_sample_still_makes_every_report(tmp_path: Path) -> None:
    """A server that dies at once."""
    record = dataclasses.replace(
        bench_record(), scopes={}, server={}, throughput=[], open_loop=[], independent={},
        cold_start={}, failure="the server ended",
    )  # fmt: skip
    for path in write_record(record, tmp_path):
        assert path.read_text()


def test_all_files_of_a_record_have_one_name(tmp_path: Path) -> None:
    paths = write_record(bench_record(), tmp_path)
    assert {path.stem for path in paths} == {"latency-u-net-densenet-121-int8-20261121T230000"}
    assert [path.suffix for path in paths] == [".json", ".md", ".csv", ".html"]


def test_the_spreadsheet_has_a_row_a_scope() -> None:
    record = bench_record()
    rows = list(csv.DictReader(io.StringIO(csv_table(record))))
    assert {row["scope"] for row in rows} == record.scopes.keys()
    (engine,) = (row for row in rows if row["scope"] == ENGINE_ALONE)
    assert float(engine["p50_ms"]) == pytest.approx(record.scopes[ENGINE_ALONE].p50_ms, abs=1e-4)
    assert engine["stable"] == "yes"


def test_the_terminal_table_fits_80_columns() -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(latency_table(bench_record()))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 80
    for name in (ENGINE_ALONE, FILE_TO_MAP, *BASELINES):
        assert any(name in line for line in lines), f"{name} is cut"


class _Tags(html.parser.HTMLParser):
    VOID = ("meta", "rect", "line", "path", "circle")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [str(v) for k, v in attrs if k in ("src", "href", "srcset", "action", "data")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_the_page_is_well_formed_and_names_nothing_outside() -> None:
    record = bench_record()
    evil = dataclasses.replace(record, model={**record.model, "name": "<script>alert(1)</script>"})
    text = page(evil)
    tags = _Tags()
    tags.feed(text)
    assert tags.open == []
    assert tags.links == []
    assert "http" not in text.replace("http-equiv", "").lower()
    assert "<script" not in text
    assert "url(" not in text
    assert "&lt;script&gt;" in text


def test_a_bars_length_is_its_value() -> None:
    import re

    chart = bars(
        "two", [Bar(label="a", value=1, note=""), Bar(label="b", value=3, note="")], unit="ms"
    ).svg()
    one, three = (float(width) for width in re.findall(r'<rect[^>]* width="([\d.]+)"', chart))
    assert three / one == pytest.approx(3, rel=0.01)


def test_a_curve_stays_inside_its_axes() -> None:
    """Also one that begins between two ticks: it lay on the axis's own figures."""
    line = Curve(label="a", points=[(9.1, 0.0), (28.0, 99.0)], colour="c0")
    drawing = curves("one", [line], x_unit="ms", y_unit="%", x_from_zero=False)
    paths = [item for item in drawing.items if isinstance(item, Line)]
    (curve,) = (path for path in paths if path.title == "a")
    grid = next(path for path in paths if path.colour == "line")
    assert grid.points[0][0] <= curve.points[0][0] < curve.points[1][0] <= grid.points[1][0]


@pytest.mark.parametrize("largest", [1e-3, 0.7, 1, 9.99, 10, 123.4, 7e5])
def test_ticks_are_few_round_and_reach_the_largest(largest: float) -> None:
    ticks = nice_ticks(largest)
    assert ticks[0] == 0
    assert ticks[-1] >= largest * 0.999999
    assert 2 <= len(ticks) <= 8
    steps = {round((b - a) / ticks[1], 6) for a, b in itertools.pairwise(ticks)}
    assert steps == {1.0}
