"""`infmap-kit doctor` and `inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infmap_kit.cli.app import DEFAULT_REPOSITORY, Json, Repository, app
from infmap_kit.command import page, print_json, print_result
from infmap_kit.errors import InputRejected


@app.command(epilog="Example: `infmap-kit doctor --repository model_repository`")
def doctor(
    repository: Repository = DEFAULT_REPOSITORY,
    host: Annotated[str, typer.Option(help="Address that the server would bind to.")] = "127.0.0.1",
    http_port: Annotated[int, typer.Option(help="Triton's HTTP port.")] = 8000,
    grpc_port: Annotated[int, typer.Option(help="Triton's gRPC port.")] = 8001,
    metrics_port: Annotated[int, typer.Option(help="Triton's metrics port.")] = 8002,
    json_: Json = False,
) -> None:
    """Check whether this host fits a repository, and say how to fix what does not.

    The command checks Python, server, libraries, GPU and driver, hashes, permissions, space, memory and
    ports. The exit code is 1 if there is a problem; warnings leave it at 0.
    """
    from infmap_kit.errors import InfmapError
    from infmap_kit.host.doctor import examine
    from infmap_kit.targets.check import Status, checks_table
    from infmap_kit.triton.server.options import ServerOptions

    options = ServerOptions(
        host=host, http_port=http_port, grpc_port=grpc_port, metrics_port=metrics_port
    )
    checks = examine(repository, options)
    document = [check.as_json() for check in checks]
    print_result(document, checks_table(checks), as_json=json_, on=page)
    problems = [check for check in checks if check.status is Status.PROBLEM]
    if problems:
        raise InfmapError(f"{len(problems)} of {len(checks)} checks found a problem")


@app.command(epilog="Example: `infmap-kit inspect model_repository`")
def inspect(
    path: Annotated[Path, typer.Argument(help="Run folder, bundle, repository, or DICOM file.")],
    json_: Json = False,
) -> None:
    """Show what a run, a bundle or a repository is: network, precision, gate, hashes, history.

    For a DICOM file, show what was read from it and how it was windowed. No GPU, server or network is
    needed.
    """
    from infmap_kit.errors import SpecError
    from infmap_kit.host.inspection import inspect as inspect_path
    from infmap_kit.host.inspection import inspection_lines

    if _is_dicom(path):
        _explain(path, json_=json_)
        return
    document = inspect_path(path)
    if json_:
        print_json(document)
    else:
        for line in inspection_lines(document):
            page.print(line, highlight=False, soft_wrap=True)
    if not document["whole"]:
        raise SpecError(document["fault"])


def _is_dicom(path: Path) -> bool:
    from infmap_kit.release.archive import is_archive

    if not path.is_file() or is_archive(path):
        return False
    # Readers bring OpenCV, which would slow down a look at a repository.
    from infmap_kit.imaging.readers import SIGNATURE_BYTES, is_dicom

    with path.open("rb") as file:
        return is_dicom(file.read(SIGNATURE_BYTES))


def _explain(path: Path, *, json_: bool) -> None:
    from infmap_kit.imaging.explain import explain_dicom, explained

    document = explain_dicom(path)
    print_result(document, explained(document), as_json=json_, on=page)
    if rejected := document["rejected"]:
        raise InputRejected(rejected["code"], rejected["reason"])
