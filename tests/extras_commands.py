"""Every command with arguments that lead it past its first looks, to the packages that it needs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import typer

from dicom_files import as_file, chest_dataset, drawn_chest
from doctors import new_study
from infmap_annotate.cli import app as annotate
from infmap_kit.cli import app as kit
from infmap_train.cli import app as train
from published import publish_text, seal_anew
from results import result_document, write_results
from small_network import small_run

_MODEL = {"name": "small", "version": "7", "network": {"decoder": "unet"}, "onnx_sha256": "0" * 64}
_NOWHERE = "127.0.0.1:9"

# An address for documentation (RFC 5737), which no machine has: whoever would serve ends at once.
_NODE = """
[node]
spool = "spool"
host = "203.0.113.1"
[[callers]]
ae_title = "A"
[[models]]
name = "covid"
url = "127.0.0.1:9"
[[rules]]
name = "all"
model = "covid"
to = []
"""


def prepare(folder: Path) -> None:
    """Write what the commands are given."""
    (folder / "chest.dcm").write_bytes(as_file(chest_dataset()))
    cv2.imwrite(str(folder / "chest.png"), (drawn_chest() >> 4).astype("uint8"))
    (folder / "node.toml").write_text(_NODE)
    write_results(folder / "results", *(result_document(number) for number in range(2)))
    publish_text(folder / "repository", "engine")
    seal_anew(folder / "repository", model=_MODEL)
    small_run(folder / "run")
    study, _ = new_study(folder)
    study.database.close()


ARGUMENTS = {
    "infmap-kit bundle": "run --output b.bundle",
    "infmap-kit install": "b.bundle --public-key key.pem",
    "infmap-kit doctor": "--repository repository",
    "infmap-kit inspect": "chest.dcm",
    "infmap-kit export": "run --repository new --target embedded --precision int8 --calibration-images nowhere",
    "infmap-kit versions": "--repository repository",
    "infmap-kit rollback": "--repository repository",
    "infmap-kit infer": f"chest.dcm chest.png --output out --format png,dicom --url {_NOWHERE}",
    "infmap-kit synthesize": "--output drawn --count 1 --size 64",
    "infmap-kit runtime": "--help",
    "infmap-kit demo": "--output demo",
    "infmap-kit serve": "--repository nowhere",
    "infmap-kit tune": "--repository repository",
    "infmap-kit accept": "repository --output accepted",
    "infmap-kit verify published": "run --repository repository",
    "infmap-kit verify bisect": "run",
    "infmap-kit verify compile": "run",
    "infmap-kit node run": "--config node.toml",
    "infmap-kit node work": "--config nowhere.toml",
    "infmap-kit node check": "node.toml",
    "infmap-kit node init": "new.toml --yes --pacs-host pacs --pacs-ae-title PACS --sender A",
    "infmap-kit node test": "node.toml",
    "infmap-kit node worklist": "--config node.toml",
    "infmap-kit node status": "--config node.toml",
    "infmap-kit node list": "--config node.toml",
    "infmap-kit node show": "1 --config node.toml",
    "infmap-kit node retry": "1 --config node.toml",
    "infmap-kit node forget": "--patient-id PAT-1 --dry-run --config node.toml",
    "infmap-kit node backup": "node.tar --config node.toml",
    "infmap-kit node restore": "nowhere.tar --config nowhere.toml",
    "infmap-kit node watch-folder": "nowhere --config node.toml",
    "infmap-kit view": "results --export page",
    "infmap-kit progression report": "results --output course",
    "infmap-kit cohort run": "chest.png --repository repository --output cohort",
    "infmap-kit cohort report": "cohort",
    "infmap-kit progression noise": f"chest.png --output noise.json --url {_NOWHERE}",
    "infmap-kit bench latency": "chest.png --repository repository",
    "infmap-kit bench compare": "a.json b.json",
    "infmap-kit bench layers": "--repository repository",
    "infmap-kit bench table5": "--only unet/densenet121 --output table5",
    "infmap-kit deploy compose": "--repository repository",
    "infmap-kit deploy alerts": "--output alerts.yml",
    "infmap-kit deploy box": "--repository repository --output box",
    "infmap-kit deploy systemd": "--output units",
    "infmap-kit kit build": "--bundle a.bundle --sign key.pem --output kit.tar",
    "infmap-kit deploy gateway": "--name host --certificate c.pem --certificate-key k.pem --key a",
    "infmap-kit deploy kserve": "--repository repository --storage-uri pvc://models",
    "infmap-train classify": "--data data --run new-run",
    "infmap-train evaluate": "run --data data",
    "infmap-train calibrate": "run --data data",
    "infmap-train familiarity": "run --data data",
    "infmap-train detection-score": "run --data data",
    "infmap-train severity-noise": "run --data data",
    "infmap-train fit": "--data data --run new-run",
    "infmap-train cross-validate": "--data data --runs new-runs",
    "infmap-train compare-maps": "--run run --classifier run --data data --output maps",
    "infmap-train detection-study": "--run run --classifier run --data data --output study-of-detection",
    "infmap-train networks": "",
    "infmap-train reproduce": "paper --dry-run",
    "infmap-train summarise": "runs --output summary",
    "infmap-train dataset build": "composed --data data",
    "infmap-annotate init": "new-study --data data --readers anna",
    "infmap-annotate predict": f"study --name unet2 --run run --url {_NOWHERE}",
    "infmap-annotate serve": "study --host 203.0.113.1",
    "infmap-annotate export": "study exported --drawn",
    "infmap-annotate stats": "study",
    "infmap-annotate backup": "study study.tar",
    "infmap-annotate readers add": "study dora",
    "infmap-annotate readers revoke": "study ben",
    "infmap-annotate readers list": "study",
}


def known_commands() -> set[str]:
    """Every command that can be typed, with its program and group."""
    return {
        command
        for program, app in (
            ("infmap-kit", kit),
            ("infmap-train", train),
            ("infmap-annotate", annotate),
        )
        for command in _commands(typer.main.get_command(app), program)
    }


def _commands(command: object, name: str) -> Iterator[str]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name
    for word, one in (inner or {}).items():
        yield from _commands(one, f"{name} {word}")


def words(command: str) -> list[str]:
    """A command with its arguments, as a list of words."""
    return f"{command} {ARGUMENTS[command]}".split()
