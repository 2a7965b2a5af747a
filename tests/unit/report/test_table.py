"""One table, whatever it is read in."""

from __future__ import annotations

import csv
import io

from rich.console import Console

from infmap_kit.report.table import Table, Toned


def _shown(table: Table, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_name_is_text_and_no_markup() -> None:
    name = "[red]<b>a|b"
    table = Table("of [bold]", ("file [x]", "n"), [(name, "1")], notes=["see [link]"])
    for text in (name, "of [bold]", "file [x]", "see [link]"):
        assert text in _shown(table)
    assert next(csv.DictReader(io.StringIO(table.csv())))["file [x]"] == name
    assert "a\\|b" in table.markdown()
    assert "<b>" not in table.__html__()
    assert "&lt;b&gt;" in table.__html__()


def test_names_give_way_and_nothing_is_cut() -> None:
    name = "a_very_long_name_without_any_room_in_it" * 2
    table = Table("", ("radiograph", "COVID-19"), [(name, "not detected")], words=("radiograph",))
    shown = _shown(table, width=50)
    assert "not detected" in shown
    assert "…" not in shown
    letters = "".join(line.split("│")[1].strip() for line in shown.splitlines() if "│" in line)
    assert letters == name


def test_figures_stand_to_the_right_and_words_to_the_left() -> None:
    rows = [("one", "1.0", "-", "2026-01-05"), ("two", "10.0", ">= 3", "2026-01-06")]
    html = Table("", ("name", "ms", "bound", "when"), rows).__html__()
    assert '<td data-column="ms" class="figures">1.0</td>' in html
    assert (
        '<td data-column="bound" class="figures">-</td><td data-column="when">2026-01-05</td>'
        in html
    )
    assert "│  1.0 │" in _shown(Table("", ("name", "ms"), [row[:2] for row in rows]))


def test_a_tone_is_a_colour_where_there_are_colours() -> None:
    table = Table("", ("state",), [(Toned("dead", "bad"),), ("well",)])
    assert table.csv() == "state\ndead\nwell\n"
    assert '<td data-column="state" class="bad">dead</td>' in table.__html__()
    console = Console(
        file=io.StringIO(), force_terminal=True, color_system="standard", no_color=False
    )
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    assert "\x1b[31mdead" in console.file.getvalue()


def test_groups_are_parted_in_the_terminal_alone() -> None:
    table = Table("Two", ("a",), [("1",), (), ("2",)], notes=["Why.", ""])
    assert _shown(table).count("├") == 1
    assert table.markdown(level=2) == "## Two\n\nWhy.\n\n| a |\n|---|\n| 1 |\n| 2 |\n"
    assert table.csv() == "a\n1\n2\n"
    assert table.__html__().count("<tr>") == 3


def test_no_heading_is_cut_at_80_columns() -> None:
    metrics = ("Sensitivity", "Specificity", "Precision", "F1-Score", "F2-Score", "Accuracy", "AUC")
    interval = ("84.00 ± 1.5e-4",) * 7
    drawn = ("81.1 to 86.9",) * 7
    rows = [("measured", *interval), ("by patient", *drawn), ("difference", *("+0.12",) * 7)]
    shown = _shown(Table("segmentation", ("", *metrics), rows))
    assert max(map(len, shown.splitlines())) <= 80
    for word in (*metrics, "difference", "84.00", "± 1.5e-4"):
        assert word in shown
    # Where there is room nothing changes.
    assert "84.00 ± 1.5e-4" in _shown(Table("", ("", *metrics[:3]), [row[:4] for row in rows]))


def test_latex_is_never_wider_than_the_text_and_escapes_what_it_must() -> None:
    table = Table("A & B_1, 5 % #2", ("", "a<b"), [("x^2 ~ {y}", "1 ± 2")], notes=["50 $"])
    assert table.latex() == (
        "\\begin{table}\n\\caption{A \\& B\\_1, 5 \\% \\#2}\n"
        "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%\n"
        "\\begin{tabular}{lr}\n\\hline\n & a$<$b \\\\\n\\hline\n"
        "x\\textasciicircum{}2 \\textasciitilde{} \\{y\\} & 1 $\\pm$ 2 \\\\\n\\hline\n"
        "\\end{tabular}}\n50 \\$\n\\end{table}\n"
    )


def test_words_are_whole_where_the_terminal_has_room_for_them() -> None:
    networks = ("U-Net DenseNet-121", "UNet++ Inception-v3")
    counts = ("12,059,345 (12.06M)", "21,790,368 (21.79M)", "24.65")
    rows = [(name, "trained", *counts, "5.25") for name in networks]
    headings = ("network", "encoder", "trainable", "non-trainable", "GMAC at 224", "paper's ms")
    shown = _shown(Table("", headings, rows))
    assert max(map(len, shown.splitlines())) <= 80
    for word in ("DenseNet-121", "Inception-v3", "non-trainable", "12,059,345"):
        assert word in shown


def test_no_word_of_a_heading_is_cut_beside_wide_cells() -> None:
    headings = ("radiograph", "COVID-19", "probability", "of lungs %", "grade", "familiarity")
    rows = [("c2.dcm", "not detected", "> 0.999", "> 30.85", "moderate", "unlike, -0.42")]
    shown = _shown(Table("", headings, rows, words=("radiograph",)))
    assert max(map(len, shown.splitlines())) <= 80
    for word in (*headings[:3], "familiarity", "detected", "moderate", "> 30.85"):
        assert word in shown


def test_a_table_without_room_for_each_word_has_no_rules() -> None:
    headings = ("rule", "threshold", "sensitivity", "specificity", "F2", "halves exchanged:", "F2")
    cells = ("0.865", *("1.000 (0.938 to 1.000)",) * 3, "0.872", "0.789")
    shown = _shown(Table("", headings, [("largest probability, best F2", *cells)]))
    assert max(map(len, shown.splitlines())) <= 80
    for word in ("probability,", "threshold", "sensitivity", "specificity", "exchanged:", "0.938"):
        assert word in shown
