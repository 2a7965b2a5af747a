"""Records by somebody who means no good: each fault is one line, exit code 1, and nothing of them is used."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundles import altered_bundle
from infmap_kit.errors import BundleError, InfmapError, SpecError
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.model.files import sha256_of
from infmap_kit.model.spec import ModelSpec, NetworkSpec
from infmap_kit.release.archive import read_archive, write_archive
from infmap_kit.release.bundle import read_bundle, write_bundle
from infmap_kit.release.contents import BundleRecord
from infmap_kit.release.install import install_bundle
from infmap_kit.targets.embedded import EmbeddedOptions
from small_network import small_network

NAME = "A" * 3000 + "\n[red]\x1b[31m\u202e" + "B" * 3000


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    onnx.save(small_network(), folder / "segmentation.onnx")
    ModelSpec(
        name="small",
        version="1",
        network=NetworkSpec(architecture="unet", encoder="densenet121"),  # type: ignore[arg-type]
        files={"segmentation.onnx": sha256_of(folder / "segmentation.onnx")},
    ).write(folder / "spec.json")
    return folder


@pytest.fixture(scope="module")
def bundle(run: Path) -> Path:
    path = run.parent / "small.bundle"
    write_bundle(run, path, pictures=synthetic_pictures()[:1])
    return path


def _deep(levels: int) -> Any:
    document: Any = 1
    for _ in range(levels):
        document = [document]
    return document


FAULTS: list[tuple[str, Any]] = [
    ("name", NAME),
    ("name", 7),
    ("name", ""),
    ("version", None),
    ("version", "1\n2"),
    ("network", "unet"),
    ("network", {"architecture": "x" * 3000, "encoder": "y"}),
    ("network", {"architecture": "U-Net", "encoder": "DenseNet-121", "encoder_frozen": "no"}),
    ("network", {"encoder": "DenseNet-121", "more": 1}),
    ("files", {"spec.json/x": "0" * 64, "spec.json": "0" * 64}),
    ("files", {"../../etc/passwd": "0" * 64}),
    ("files", {"/etc/passwd": "0" * 64}),
    ("files", {"a": "no digest"}),
    ("files", {"a": 1}),
    ("files", []),
    ("data_licence", "\u202eecnecil"),
    ("training", []),
    ("metrics", _deep(300)),
    ("metrics", {"auc": float("nan")}),
    ("metrics", {"auc": float("-inf")}),
    ("version", "   "),
    ("surplus", 1),
]


def _one_line(act: Callable[[], object]) -> str:
    with pytest.raises(InfmapError) as caught:
        act()
    assert caught.value.exit_code == 1
    assert len(str(caught.value)) < 900
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.mark.parametrize(("key", "value"), FAULTS, ids=lambda value: repr(value)[:24])
def test_a_spec(key: str, value: object, run: Path, tmp_path: Path) -> None:
    document = {**json.loads((run / "spec.json").read_text()), key: value}
    (tmp_path / "spec.json").write_text(json.dumps(document))
    assert "spec.json" in _one_line(lambda: ModelSpec.read(tmp_path / "spec.json"))


@pytest.mark.parametrize("key", ["name", "version", "network", "files"])
def test_a_spec_that_lacks_something(key: str, run: Path, tmp_path: Path) -> None:
    document = json.loads((run / "spec.json").read_text())
    del document[key]
    (tmp_path / "spec.json").write_text(json.dumps(document))
    assert key in _one_line(lambda: ModelSpec.read(tmp_path / "spec.json"))


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"\xff\xfe",
        b'"text"',
        b"null",
        b'{"name": "\\ud800"}',
        b"9" * 9999,
    ],
    ids=range(7),
)
def test_a_spec_that_is_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_bytes(content)
    _one_line(lambda: ModelSpec.read(tmp_path / "spec.json"))


def test_a_spec_with_a_number_that_is_larger_than_any(run: Path, tmp_path: Path) -> None:
    text = (run / "spec.json").read_text().replace('"metrics": {}', '"metrics": {"auc": 1e999}')
    (tmp_path / "spec.json").write_text(text)
    assert "larger than any" in _one_line(lambda: ModelSpec.read(tmp_path / "spec.json"))


def test_a_spec_that_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "spec.json")
    _one_line(lambda: ModelSpec.read(tmp_path / "spec.json"))
    _one_line(lambda: ModelSpec.read(tmp_path / "spec.json" / "x"))


_RECORD_FAULTS: dict[str, list[Any]] = {
    "name": [NAME, 7],
    "temperature": [float("nan"), 0, -1, "1", float("inf"), True],
    "pictures": [0, -1, "1", 1.5, True, 10**9],
    "onnx_sha256": ["x", None],
    "lungs": [[], "x", {"name": "a"}],
    "made_with": ["\x1b[2J"],
    "schema": ["1"],
    "surplus": [_deep(90)],
    "files": [{"spec.json/x": 1}],
}


def _rebuilt(bundle: Path, folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A bundle whose record was changed by somebody who knows how bundles are made."""
    files = dict(read_archive(bundle).files)
    record = json.loads(files.pop("bundle.json"))
    change(record)
    path = folder / "changed.bundle"
    write_archive(path, {"bundle.json": json.dumps(record).encode(), **files})
    return path


@pytest.mark.parametrize(
    ("key", "value"),
    [(key, value) for key, values in _RECORD_FAULTS.items() for value in values],
    ids=lambda value: repr(value)[:24],
)
def test_a_bundle(key: str, value: object, bundle: Path, tmp_path: Path) -> None:
    changed = _rebuilt(bundle, tmp_path, lambda record: record.update({key: value}))
    with pytest.raises(BundleError):
        read_bundle(changed)
    _one_line(lambda: read_bundle(changed))


def _with_a_key_twice(record: dict[str, Any]) -> bytes:
    return json.dumps(record).encode()[:-1] + b',"temperature":2.0,"temperature":3.0}'


def test_a_bundle_with_a_key_that_stands_twice(bundle: Path, tmp_path: Path) -> None:
    """Python takes the second value; others, such as whoever reviewed it, may take the first."""
    files = dict(read_archive(bundle).files)
    record = _with_a_key_twice(json.loads(files.pop("bundle.json")))
    write_archive(tmp_path / "changed.bundle", {"bundle.json": record, **files})
    assert "'temperature' twice" in _one_line(lambda: read_bundle(tmp_path / "changed.bundle"))


def test_a_network_of_the_lungs_is_not_installed_as_one_of_the_infection(bundle: Path) -> None:
    def of_the_lungs(files: dict[str, bytes]) -> None:
        spec = {**json.loads(files["spec.json"]), "training": {"anatomy": "lungs"}}
        files["spec.json"] = json.dumps(spec).encode()

    altered = altered_bundle(bundle, of_the_lungs)
    assert "network of the lungs" in _one_line(lambda: read_bundle(altered))


def test_a_bundle_under_the_name_of_another_network(bundle: Path, tmp_path: Path) -> None:
    changed = _rebuilt(bundle, tmp_path, lambda record: record.update(name="another"))
    assert "names another network than spec.json" in _one_line(lambda: read_bundle(changed))


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
_RECORD = {
    "schema": 1,
    "made_with": "infmap-kit 0.1.0",
    "name": "small",
    "version": "1",
    "onnx_sha256": hashlib.sha256().hexdigest(),
    "pictures": 1,
    "files": {},
}


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["temperature", "lungs", *_RECORD]), _ANY)
def test_any_record_is_taken_whole_or_refused(key: str, value: object) -> None:
    try:
        record = BundleRecord.of({**_RECORD, key: value}, "bundle.json")
    except SpecError as error:
        assert str(error).isprintable()  # noqa: PT017  # whatever it says, it is a line
    else:
        assert BundleRecord.of(record.as_document(), "bundle.json") == record


def test_an_unsigned_bundle_has_to_be_asked_for_once(bundle: Path, tmp_path: Path) -> None:
    repository, options = tmp_path / "r" / "models", EmbeddedOptions()
    assert "is not signed" in _one_line(lambda: install_bundle(bundle, repository, options))
    assert not repository.exists()
    manifest, _ = install_bundle(bundle, repository, options, unsigned=True)
    assert manifest.model["bundle"]["signed_by"] == "nobody"
    assert install_bundle(bundle, repository, options)[0].release == 2


def test_with_a_key_it_has_to_be_asked_for_each_time(
    bundle: Path, run: Path, tmp_path: Path
) -> None:
    serialization = pytest.importorskip(
        "cryptography.hazmat.primitives.serialization", reason="the extra sign is not installed"
    )
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    keys = [Ed25519PrivateKey.generate() for _ in range(2)]
    public = tmp_path / "key.pub.pem"
    public.write_bytes(
        keys[0].public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )  # fmt: skip
    repository, options = tmp_path / "r" / "models", EmbeddedOptions()
    install_bundle(bundle, repository, options, public_key=public, unsigned=True)
    reason = _one_line(lambda: install_bundle(bundle, repository, options, public_key=public))
    assert "is not signed" in reason
    signed = [tmp_path / f"{number}.bundle" for number in range(2)]
    for key, path in zip(keys, signed, strict=True):
        write_bundle(run, path, pictures=synthetic_pictures()[:1], sign=key.sign)
    # What somebody else signed is no unsigned bundle.
    _one_line(
        lambda: install_bundle(signed[1], repository, options, public_key=public, unsigned=True)
    )
    manifest, _ = install_bundle(signed[0], repository, options, public_key=public)
    assert manifest.model["bundle"]["signed_by"] != "nobody"
    # Without the key nobody can tell who signed it.
    elsewhere = tmp_path / "e" / "models"
    assert "no key is configured" in _one_line(
        lambda: install_bundle(signed[0], elsewhere, options)
    )
