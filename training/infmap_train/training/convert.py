"""Convert a trained network to ONNX: ``python -m infmap_train.training.convert SOURCE TARGET``.

The toolkit calls this in a process of its own, so that it never loads TensorFlow. One JSON line on
stdout says what was made; an error is one line on stderr and exit code 1. Nothing that a source
file carries is executed: see ``keras_file`` and ``saved_model`` beside this.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any, NamedTuple

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
        Path, typer.Argument(help="Run folder, .keras or .h5 file, or SavedModel folder.")
    ],
    target: Annotated[Path, typer.Argument(help="The ONNX file to write.")],
    encoder: Annotated[
        str | None,
        typer.Option(
            help="Encoder whose normalisation the network needs, if no spec.json names it."
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            help="Height and width of the pictures in pixels, needed if the network accepts any size."
        ),
    ] = None,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw", help="Leave the input as the network expects it, float32 (N, H, H, C)."
        ),
    ] = False,
) -> None:
    """Write SOURCE as an ONNX graph: gray uint8 IMAGE in, PROBABILITY out.

    Example: python -m infmap_train.training.convert model.keras model.onnx --encoder densenet121
    """
    # The user's own settings of Keras cannot be read from here, and are none of ours.
    os.environ["KERAS_HOME"] = tempfile.gettempdir()
    asked = member(Encoder, encoder) if encoder else None
    refuse_code(source)
    import_tensorflow()
    with silenced():
        from infmap_train.networks.onnx_from_keras import onnx_from_keras

        loaded = load(source, asked, size=size, raw=raw)
        onnx_from_keras(
            loaded.model,
            loaded.encoder,
            target,
            image_size=loaded.image_size,
            channels=loaded.channels,
        )
    made = {"onnx": str(target), "sha256": sha256_of(target)}
    known = {"encoder": str(loaded.encoder)} if loaded.encoder else {}
    sys.stdout.write(json.dumps({**made, **known}) + "\n")


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


class Loaded(NamedTuple):
    """A network that was loaded: a callable from (N, H, H, C) float32 to (N, H, H, K)."""

    model: Any
    encoder: Encoder | None
    image_size: int = IMAGE_SIZE
    channels: int = 3


def load(
    source: Path, encoder: Encoder | None, *, size: int | None = None, raw: bool = False
) -> Loaded:
    """Check a source, and load it.

    Parameters
    ----------
    source
        A run folder, a file of Keras or a SavedModel.
    encoder
        Its encoder, where no ``spec.json`` says so.
    size
        Height and width of its pictures in pixels, where it takes any.
    raw
        Whether it is fed as it is, so that no encoder's normalisation is needed.

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
        return Loaded(run_folder.load_network(source)[0], spec.network.encoder)
    known = None if raw else encoder or (spec.network.encoder if spec else None)
    if known is None and not raw:
        raise ExportError(
            f"{source} does not say which encoder it has, and each wants its own normalisation: "
            f"pass --encoder, one of {', '.join(Encoder)}; for another, `infmap-kit export` takes --scale "
            "(and --mean, --std)"
        )
    # What is checked must be what is loaded, whatever happens to the source meanwhile.
    with tempfile.TemporaryDirectory(prefix="infmap-train-") as folder:
        copy = _private_copy(source, Path(folder))
        try:
            model, shape_in, shape_out = _load_foreign(copy, spec)
            if spec and size is None:
                size = IMAGE_SIZE
            image_size, channels = _picture_of(shape_in, shape_out, size, copy)
            if known is not None and channels != 3:
                raise ExportError(
                    f"expected 3 channels, as the encoder {known} takes, found {channels} in {copy}: pass "
                    "--scale (and --mean, --std) instead of --encoder"
                )
            return Loaded(model, known, image_size, channels)
        except InfmapError as error:
            # People know the source, and nothing of the copy.
            raise type(error)(str(error).replace(str(copy), str(source))) from error


def _load_foreign(source: Path, spec: ModelSpec | None) -> tuple[Any, Any, Any]:
    """Check a model of others, which nobody else can write to, and load it with its two shapes."""
    if source.is_dir():
        saved_model.reduce_to_signature(source)
        model, shape_in, shape_out = saved_model.load(source)
        return model, shape_in, shape_out
    keras_file.check_keras_file(source)
    description = keras_file.read_description(source)
    model = (
        _load_weights(source, spec)
        if description is None
        else keras_file.build(source, description)
    )
    return model, model.input_shape, model.output_shape


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
        raise SpecError(
            f"{source} is not the file that spec.json names (its SHA-256 differs): take the run folder whole"
        )
    model = build(spec.network)
    run_folder.load_weights(model, source)
    return model


def _picture_of(shape_in: Any, shape_out: Any, size: int | None, source: Path) -> tuple[int, int]:
    """Height, which is the width, and channels of the pictures that a network of two shapes takes."""
    if not _is_shape(shape_in) or shape_in[3] not in (1, 3):
        raise ExportError(
            f"expected one input of pictures with 1 or 3 channels, (None, H, W, 3), of {source}, found "
            f"{_shown(shape_in)}: build the network so"
        )
    if not _is_shape(shape_out) or shape_out[3] is None:
        raise ExportError(
            f"expected one output with a probability for each pixel, (None, H, W, 1), of {source}, found "
            f"{_shown(shape_out)}: this is no segmentation network, or has several outputs"
        )
    stated = {side for side in (*shape_in[1:3], size) if side is not None}
    if len(stated) > 1:
        raise ExportError(
            f"expected square pictures{f' of --size {size}' if size else ''}, found the input "
            f"{_shown(shape_in)} of {source}: export it with its own size"
        )
    if not stated:
        raise ExportError(
            f"{source} takes pictures of any size, {_shown(shape_in)}: say with --size on which one it was "
            "trained"
        )
    return stated.pop(), shape_in[3]


def _is_shape(shape: Any) -> bool:
    return (
        isinstance(shape, tuple)
        and len(shape) == 4
        and all(side is None or isinstance(side, int) for side in shape)
    )


def _shown(shape: Any) -> str:
    return f"{shape!s:.120}"


if __name__ == "__main__":
    command.run(app)
