"""Convert a trained network to ONNX: ``python -m infmap_train.training.convert SOURCE TARGET``.

The toolkit calls this in a process of its own, so that it never loads TensorFlow. One JSON line on
stdout says what was made; an error is one line on stderr and exit code 1. Nothing that a source
file carries is executed: see ``keras_file`` and ``saved_model`` beside this.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from infmap_kit import command
from infmap_kit.errors import ExportError, InfmapError, SpecError
from infmap_kit.model.files import sha256_of
from infmap_kit.model.run_folder import SPEC
from infmap_kit.model.spec import IMAGE_SIZE, ClassifierSpec, Encoder, ModelSpec, member
from infmap_train.networks.quiet import import_tensorflow, silenced
from infmap_train.training import keras_file, saved_model

_PICKLES = (".pkl", ".pickle", ".joblib", ".pt", ".pth", ".npy")

app = typer.Typer(add_completion=False)


@app.command()
def convert(
    source: Annotated[
        Path, typer.Argument(help="A run folder, a .keras or .h5 file, or a SavedModel folder.")
    ],
    target: Annotated[Path, typer.Argument(help="The ONNX file to write.")],
    encoder: Annotated[
        str | None,
        typer.Option(
            help="Encoder whose normalisation the network needs, where no spec.json names it."
        ),
    ] = None,
) -> None:
    """Write SOURCE as an ONNX graph: gray uint8 IMAGE in, PROBABILITY out.

    Example: python -m infmap_train.training.convert model.keras model.onnx --encoder densenet121
    """
    asked = member(Encoder, encoder) if encoder else None
    refuse_code(source)
    import_tensorflow()
    with silenced():
        from infmap_train.networks.onnx_from_keras import onnx_from_keras

        model, known = load(source, asked)
        onnx_from_keras(model, known, target)
    sys.stdout.write(
        json.dumps({"onnx": str(target), "sha256": sha256_of(target), "encoder": str(known)}) + "\n"
    )


def refuse_code(source: Path) -> None:
    """Refuse a source that is of no known kind, or that would run code when loaded.

    What a SavedModel computes is looked at when it is loaded.

    Raises
    ------
    ExportError
        Naming the source, and the kinds of sources that are taken.
    """
    if not source.exists():
        raise ExportError(f"{source} does not exist")
    if source.is_dir():
        if not any((source / name).is_file() for name in (SPEC, saved_model.GRAPH)):
            raise ExportError(
                f"{source} is neither a run folder (spec.json) nor a SavedModel (saved_model.pb)"
            )
        return
    suffix = source.suffix.lower()
    if suffix in _PICKLES:
        raise ExportError(
            f"{source} is a pickle or may hold one, and loading it would run what is in it: pass a "
            "run folder, a .keras or .h5 file, or a SavedModel folder"
        )
    if suffix not in keras_file.SIGNATURES or not source.is_file():
        raise ExportError(
            f"expected a run folder, a .keras or .h5 file, or a SavedModel folder, found {source}"
        )
    keras_file.check_keras_file(source)


def load(source: Path, encoder: Encoder | None) -> tuple[Any, Encoder]:
    """Check a source, and load it.

    Returns
    -------
    tuple
        A callable from (N, 224, 224, 3) to (N, 224, 224, 1), and its encoder.

    Raises
    ------
    ExportError
        When it cannot be loaded, has other shapes, or its encoder is not known.
    SpecError
        When a run folder is damaged.
    """
    from infmap_train import run_folder

    beside = (source if source.is_dir() else source.parent) / SPEC
    spec = ModelSpec.read(beside) if beside.is_file() else None
    if spec and encoder and spec.network.encoder is not encoder:
        raise ExportError(
            f"{beside} says the encoder is {spec.network.encoder}, asked for was {encoder}: leave "
            "--encoder out"
        )
    if spec and isinstance(spec.network, ClassifierSpec):
        raise ExportError(
            f"{beside} is of a classifier, whose graph `infmap-train classify` writes: this command "
            "converts segmentation networks"
        )
    if source.is_dir() and spec:
        return run_folder.load_network(source)[0], spec.network.encoder
    known = encoder or (spec.network.encoder if spec else None)
    if known is None:
        raise ExportError(
            f"{source} does not say which encoder it has, and each wants its own normalisation: "
            f"pass --encoder, one of {', '.join(Encoder)}"
        )
    # What is checked must be what is loaded, whatever happens to the source meanwhile.
    with tempfile.TemporaryDirectory(prefix="infmap-train-") as folder:
        copy = _private_copy(source, Path(folder))
        try:
            return _load_foreign(copy, spec), known
        except InfmapError as error:
            # People know the source, and nothing of the copy.
            raise type(error)(str(error).replace(str(copy), str(source))) from error


def _load_foreign(source: Path, spec: ModelSpec | None) -> Any:
    """Check a model of others, which nobody else can write to, and load it."""
    if source.is_dir():
        saved_model.reduce_to_signature(source)
        model, shape_in, shape_out = saved_model.load(source)
        _check_shapes(shape_in, shape_out, source)
        return model
    keras_file.check_keras_file(source)
    description = keras_file.read_description(source)
    if description is None:
        return _load_weights(source, spec)
    model = keras_file.build(source, description)
    _check_shapes(model.input_shape, model.output_shape, source)
    return model


def _private_copy(source: Path, folder: Path) -> Path:
    """Copy what of a source is loaded: plain files, and of a SavedModel the graph and its weights alone."""
    copy = folder / source.name
    if source.is_file():
        shutil.copyfile(source, copy)
        return copy
    weights = copy / saved_model.WEIGHTS
    weights.mkdir(parents=True)
    for path in (source / saved_model.GRAPH, *sorted((source / weights.name).glob("variables.*"))):
        if path.is_symlink() or path.parent.is_symlink() or not path.is_file():
            raise ExportError(f"{path} is a link, or no plain file, as none of a SavedModel is")
        shutil.copyfile(path, copy / path.relative_to(source), follow_symlinks=False)
    return copy


def _load_weights(source: Path, spec: ModelSpec | None) -> Any:
    from infmap_train import run_folder
    from infmap_train.networks.classifiers import build

    if spec is None:
        raise ExportError(
            f"{source} holds weights and no architecture: put the spec.json of its run beside it"
        )
    expected = spec.files.get(source.name)
    if expected is not None and expected != sha256_of(source):
        raise SpecError(f"{source} is not the file that spec.json names (its SHA-256 differs)")
    model = build(spec.network)
    run_folder.load_weights(model, source)
    return model


def _check_shapes(shape_in: Any, shape_out: Any, source: Path) -> None:
    for what, actual, channels in (("input", shape_in, 3), ("output", shape_out, 1)):
        expected = (None, IMAGE_SIZE, IMAGE_SIZE, channels)
        fits = isinstance(actual, tuple) and len(actual) == 4
        if not fits or any(a not in (None, e) for a, e in zip(actual, expected, strict=True)):
            raise ExportError(f"expected {what} {expected} of {source}, found {actual}")


if __name__ == "__main__":
    command.run(app)
