"""A course, or a model's noise, in files."""

from __future__ import annotations

from pathlib import Path

from infmap_kit.errors import ProgressionError
from infmap_kit.model.files import write_bytes, write_json, writing_to
from infmap_kit.progression.course import Course
from infmap_kit.progression.noise import Noise
from infmap_kit.progression.output.document import course_csv, course_document
from infmap_kit.progression.output.maps import small_map
from infmap_kit.progression.output.page import page
from infmap_kit.progression.output.picture import draw


def write_course(course: Course, folder: Path) -> list[Path]:
    """Write ``progression.json``, ``.csv``, ``.png`` and ``.html`` into a folder, made when it is missing.

    Raises
    ------
    ProgressionError
        When the folder cannot be written.
    """
    maps = [small_map(point.result) for point in course.points]
    paths = [folder / f"progression.{suffix}" for suffix in ("json", "csv", "png", "html")]
    with writing_to(folder, ProgressionError):
        write_json(paths[0], course_document(course), private=True)
        write_bytes(paths[1], course_csv(course).encode(), private=True)
        write_bytes(paths[2], draw(course, maps).png(), private=True)
        write_bytes(paths[3], page(course, maps).encode(), private=True)
    return paths


def write_noise(noise: Noise, path: Path) -> None:
    """Write a record that :meth:`~infmap_kit.progression.noise.Noise.read` reads.

    Raises
    ------
    ProgressionError
        When it cannot be written.
    """
    with writing_to(path.parent, ProgressionError):
        write_json(path, noise.as_json())
