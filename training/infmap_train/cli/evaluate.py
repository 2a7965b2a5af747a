"""``infmap-train evaluate``, ``calibrate``, ``familiarity``, ``detection-score`` and ``severity-noise``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infmap_kit.errors import TrainingError
from infmap_kit.model.spec import Anatomy
from infmap_kit.progress import progress_bar
from infmap_train.cli.app import AsJson, Data, Everything, Finished, app, show, start


@app.command(epilog="Example: `infmap-train evaluate runs/unet --data qata`")
def evaluate(
    run: Finished,
    data: Data,
    everything: Everything = False,
    url: Annotated[
        str | None,
        typer.Option(
            help="gRPC endpoint (host:port) of a server whose engine is evaluated instead of the network."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Folder for tables, curves and a sheet of the worst cases, which shows radiographs."
        ),
    ] = None,
    severity: Annotated[
        Path | None, typer.Option(help="CSV file of experts' scores to compare the severity with.")
    ] = None,
    lungs: Annotated[
        Path | None,
        typer.Option(
            help="Run folder of a lung network, to use instead of the data set's lung masks."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Evaluate a trained network beside the paper's figures, and its severity beside experts' scores."""
    # A served engine answers by itself.
    start(tensorflow=url is None or lungs is not None)
    from infmap_train.evaluation.evaluate import evaluate as measure
    from infmap_train.evaluation.report import write_report
    from infmap_train.evaluation.tables import evaluation_tables
    from infmap_train.studies.detection_score import evaluation_scores, score_tables
    from infmap_train.studies.severity_agreement import severity_agreement
    from infmap_train.studies.severity_report import severity_tables, write_severity

    if lungs and not severity:
        raise TrainingError("--lungs is for --severity: pass the experts' scores too")
    with progress_bar() as progress:
        evaluation = measure(run, data, everything=everything, url=url, progress=progress)
        tables = evaluation_tables(evaluation.network, evaluation.report)
        if evaluation.pictures.anatomy is Anatomy.INFECTION:
            scores = evaluation_scores(evaluation)
            evaluation.report["detection_scores"] = scores
            tables += score_tables(scores)
        if severity:
            agreement = severity_agreement(
                *(evaluation, run, data, severity),
                lung_run=lungs,
                everything=everything,
                progress=progress,
            )
            evaluation.report["severity"] = agreement.report
            tables += severity_tables(agreement.report)
            if output:
                write_severity(agreement, output)
    if output:
        write_report(evaluation, output)
    show(evaluation.report, tables, as_json=as_json)


@app.command(epilog="Example: `infmap-train calibrate runs/unet --data qata`")
def calibrate(
    run: Finished,
    data: Data,
    everything: Everything = False,
    seed: Annotated[int, typer.Option(help="Seed of the split into two halves.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Fit a temperature so that probabilities are calibrated. Masks do not change."""
    start()
    from infmap_train.evaluation.calibrate import calibrate_run, calibration_table

    with progress_bar() as progress:
        document = calibrate_run(run, data, everything=everything, seed=seed, progress=progress)
    show(document, [calibration_table(document)], as_json=as_json)


@app.command(epilog="Example: `infmap-train familiarity runs/unet --data qata`")
def familiarity(
    run: Finished,
    data: Data,
    tensor: Annotated[
        str,
        typer.Option(
            help="Name of the tensor in segmentation.onnx whose means over the picture are the features. "
            "The default is the encoder's last one."
        ),
    ] = "",
    seed: Annotated[int, typer.Option(help="Seed of the split into two halves.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Fit the familiarity, by which the served model warns of pictures unlike those of the training."""
    start(tensorflow=False)
    from infmap_train.studies.familiarity import familiarity_table, fit_familiarity

    with progress_bar() as progress:
        document = fit_familiarity(run, data, tensor=tensor, seed=seed, progress=progress)
    show(document, [familiarity_table(document)], as_json=as_json)


@app.command(epilog="Example: `infmap-train detection-score runs/unet --data qata`")
def detection_score(
    run: Finished,
    data: Data,
    seed: Annotated[int, typer.Option(help="Seed of the split into two halves.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Fit a detection score that ranks better than the largest probability. Decisions do not change."""
    start()
    from infmap_train.studies.detection_score import choose_detection_score, score_tables

    with progress_bar() as progress:
        document = choose_detection_score(run, data, seed=seed, progress=progress)
    show(document, score_tables(document["against"]), as_json=as_json)


@app.command(epilog="Example: `infmap-train severity-noise runs/unet --data qata`")
def severity_noise(
    run: Finished,
    data: Data,
    everything: Everything = False,
    radiographs: Annotated[
        int,
        typer.Option(
            help="Largest number of radiographs; if there are more, this number is drawn at random."
        ),
    ] = 50,
    variants: Annotated[int, typer.Option(help="Number of variants of each radiograph.")] = 100,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the draw of radiographs and of the displacements.")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Measure the noise of severities, so that a served model can tell a change from it."""
    start(tensorflow=False)
    from infmap_kit.model.severity_noise import Variation
    from infmap_train.studies.severity_noise import measure_severity_noise, severity_noise_table

    variation = Variation(variants=variants, seed=seed)
    with progress_bar() as progress:
        document = measure_severity_noise(
            *(run, data),
            radiographs=radiographs,
            variation=variation,
            everything=everything,
            progress=progress,
        )
    show(document, [severity_noise_table(document)], as_json=as_json)
