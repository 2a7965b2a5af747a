"""`infmap-kit versions` and `rollback`."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from infmap_kit.cli.app import DEFAULT_REPOSITORY, Json, Repository, app
from infmap_kit.cli.sentences import published
from infmap_kit.command import page, print_result


@app.command(epilog="Example: `infmap-kit versions --repository model_repository`")
def versions(repository: Repository = DEFAULT_REPOSITORY, json_: Json = False) -> None:
    """List the releases of a repository: the one that is served, and the earlier ones that were kept."""
    from infmap_kit.triton.releases import releases_of, releases_table
    from infmap_kit.triton.repository import Manifest

    # Without a manifest it is no repository, which is worth more than an empty list.
    Manifest.read(repository)
    releases = releases_of(repository)
    document = [
        {"current": release.current, **dataclasses.asdict(release.manifest)} for release in releases
    ]
    print_result(document, releases_table(releases), as_json=json_, on=page)


@app.command(epilog="Example: `infmap-kit rollback --repository model_repository`")
def rollback(
    repository: Repository = DEFAULT_REPOSITORY,
    release: Annotated[
        int | None,
        typer.Option(
            "--to",
            help="Number of the release to go back to. The default is the release before the present one.",
        ),
    ] = None,
    json_: Json = False,
) -> None:
    """Serve an earlier release again. The present release is kept.

    A running `infmap-kit serve` switches by itself.
    """
    from infmap_kit.triton.releases import roll_back

    manifest = roll_back(repository, release)
    print_result(dataclasses.asdict(manifest), published(manifest, repository), as_json=json_)
