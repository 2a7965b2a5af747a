"""`infmap-kit progression`: one patient's results in the order of time, and the model's own noise."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infmap_kit.cli.app import DEFAULT_URL, Json, Url
from infmap_kit.cli.groups import add_group
from infmap_kit.command import console, page, print_json
from infmap_kit.errors import InputRejected
from infmap_kit.progress import progress_bar
from infmap_kit.text import one_line

progression = add_group(
    "progression",
    first="report",
    about="Follow one patient's severity in time, and tell a change from the model's own noise.",
    epilog="Example: `infmap-kit progression maps --times times.csv --noise noise.json -o course`",
)


@progression.command(
    epilog="Example: `infmap-kit progression maps --times times.csv --noise noise.json -o course`"
)
def report(
    results: Annotated[
        list[Path] | None,
        typer.Argument(help="JSON files that `infer` wrote, and folders of such files."),
    ] = None,
    node_store: Annotated[
        Path | None,
        typer.Option(help="Spool of a node, which is only read; needs --patient."),
    ] = None,
    patient: Annotated[str | None, typer.Option(help="Only results of this Patient ID.")] = None,
    times: Annotated[
        Path | None,
        typer.Option(
            help="CSV file with the columns file and time, which says when each radiograph was taken."
        ),
    ] = None,
    noise: Annotated[
        Path | None,
        typer.Option(
            help="Record of the noise that `infmap-kit progression noise` wrote, to use instead of the noise "
            "that the model states."
        ),
    ] = None,
    mix_models: Annotated[
        bool, typer.Option("--mix-models", help="Allow results of several models.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for progression.{json,csv,png,html}."),
    ] = None,
    json_: Json = False,
) -> None:
    """Put one patient's results in the order in which their radiographs were taken.

    Repeated results count once. Results of two patients or two models are refused, and so is a mixture of
    severities of the image and of the lungs. A difference is called a change only if it exceeds the noise.
    The noise is that of --noise, otherwise the one that the model states; without either, nothing is called
    a change. A damaged result in a folder is rejected by name, and the exit code is then 6.
    """
    from infmap_kit.progression.course import line_up
    from infmap_kit.progression.noise import Noise
    from infmap_kit.progression.output.document import course_document
    from infmap_kit.progression.output.page import course_table, sentences
    from infmap_kit.progression.output.writing import write_course
    from infmap_kit.progression.reading import read

    reading = read(results or [], spool=node_store, patient=patient, times=times)
    course = line_up(reading, noise=Noise.read(noise) if noise else None, mix_models=mix_models)
    if output is not None:
        write_course(course, output)
    if json_:
        print_json(course_document(course))
    else:
        page.print(course_table(course))
        for sentence in sentences(course):
            page.print(sentence, highlight=False)
    if output is not None:
        console.print(f"Written to {output}/progression.{{json,csv,png,html}}.", highlight=False)
    damaged = [one for one in reading.skipped if one.damaged]
    for one in damaged:
        line = f"rejected  {one.name}: {one.reason}"
        console.print(line, highlight=False, soft_wrap=True)
    if damaged:
        raise InputRejected(
            "rejected",
            f"{len(damaged)} of {len(damaged) + len(reading.results)} results were damaged; the course is of "
            "the others",
        )


@progression.command(epilog="Example: `infmap-kit progression noise chest1.dcm -o noise.json`")
def noise(
    radiographs: Annotated[
        list[Path],
        typer.Argument(
            help="Radiographs, and folders of them; those of the course itself are best."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="JSON file for the record of the noise.")
    ],
    variants: Annotated[int, typer.Option(help="Number of variants of each radiograph.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the displacements.")] = 0,
    shift: Annotated[float, typer.Option(help="Largest shift, in percent of the sides.")] = 2.0,
    rotation: Annotated[float, typer.Option(help="Largest rotation, in degrees.")] = 2.0,
    tone: Annotated[
        float, typer.Option(help="Largest change of the gray values, in percent.")
    ] = 5.0,
    url: Url = DEFAULT_URL,
    json_: Json = False,
) -> None:
    """Measure how much a severity changes when a radiograph is slightly shifted, rotated and changed in tone.

    This noise says nothing about the patient: `progression --noise` calls no difference within it a change.
    A file that is not a suitable radiograph is skipped, and the exit code is then 6.
    """
    from infmap_kit.imaging.files import find_pictures
    from infmap_kit.model.severity_noise import Variation
    from infmap_kit.progression.output.page import noise_table
    from infmap_kit.progression.output.writing import write_noise
    from infmap_kit.progression.variants import measure_noise

    variation = Variation(
        variants=variants,
        seed=seed,
        shift_percent=shift,
        rotation_degrees=rotation,
        tone_percent=tone,
    )
    pictures = find_pictures(radiographs)
    with progress_bar() as progress:
        measured, skipped = measure_noise(pictures, url=url, variation=variation, progress=progress)
    write_noise(measured, output)
    if json_:
        print_json(measured.as_json())
    else:
        page.print(noise_table(measured))
        page.print(f"{variation.sentence}.", highlight=False)
    console.print(f"Written to {output}.", highlight=False)
    for one in skipped:
        console.print(f"skipped  {one_line(one.name)}: {one.reason}", highlight=False)
    if skipped:
        raise InputRejected(
            "rejected",
            f"{len(skipped)} of {len(pictures)} files were skipped; the others are measured",
        )
