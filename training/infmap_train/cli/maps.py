"""``infmap-train compare-maps`` and ``detection-study``: a segmentation beside a classifier."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infmap_kit import command
from infmap_kit.progress import progress_bar
from infmap_train.cli.app import AsJson, Data, Everything, app, show, start

Run = Annotated[Path, typer.Option(help="Run folder of `infmap-train fit`.")]
Classifier = Annotated[Path, typer.Option(help="Run folder of `infmap-train classify`.")]


@app.command(
    "compare-maps",
    epilog="Example: `infmap-train compare-maps --run runs/unet --classifier runs/classifier "
    "--data qata --output maps`",
)
def compare_maps(
    run: Run,
    classifier: Classifier,
    data: Data,
    output: Annotated[
        Path,
        typer.Option(
            help="Folder for tables, figures for each image, and sheets, which show radiographs."
        ),
    ],
    also: Annotated[
        list[Path] | None,
        typer.Option(
            help="Run folder of a further network or classifier to compare; may be repeated."
        ),
    ] = None,
    everything: Everything = False,
    cases: Annotated[
        int, typer.Option(min=0, help="Number of radiographs on the sheets; 0 writes none.")
    ] = 24,
    as_json: AsJson = False,
) -> None:
    """Compare infection maps with a classifier's activation maps (the paper's Fig. 7), in numbers."""
    start()
    from infmap_train.data.output import json_ready
    from infmap_train.studies import compare_maps as comparing
    from infmap_train.studies.predictions import predict_both

    with progress_bar() as progress:
        predictions = predict_both(
            *(run, classifier, data),
            also=also or [],
            everything=everything,
            covid_only=True,
            progress=progress,
        )
    comparison = comparing.compare_maps(predictions)
    comparing.write_comparison(comparison, output, cases=cases)
    show(
        json_ready(comparison.report),
        comparing.comparison_tables(comparison.report),
        as_json=as_json,
    )
    command.console.print(f"{output} holds figures by image and, with radiographs, the sheets")


@app.command(
    "detection-study",
    epilog="Example: `infmap-train detection-study --run runs/unet --classifier runs/classifier "
    "--data qata --output study`",
)
def detection_study(
    run: Run,
    classifier: Classifier,
    data: Data,
    output: Annotated[
        Path, typer.Option(help="Folder for tables and curves; no radiograph is shown.")
    ],
    everything: Everything = False,
    as_json: AsJson = False,
) -> None:
    """Compare ways to detect COVID-19: largest probability, area of the mask, classifier; with thresholds."""
    start()
    from infmap_train.data.output import json_ready
    from infmap_train.studies import detection_study as detecting
    from infmap_train.studies.predictions import predict_both

    with progress_bar() as progress:
        predictions = predict_both(run, classifier, data, everything=everything, progress=progress)
        report = detecting.study(predictions, progress=progress)
    detecting.write_study(predictions, report, output)
    show(json_ready(report), detecting.study_tables(report), as_json=as_json)
