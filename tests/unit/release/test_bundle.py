"""Bundles, from the machine that trained to the host: sabotage is stopped with the right reason."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from bundles import altered_bundle
from infmap_kit.errors import BundleError, ExportError, GateFailed, SpecError
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.model.files import sha256_of
from infmap_kit.model.spec import ModelSpec, NetworkSpec
from infmap_kit.release.archive import read_archive, write_archive
from infmap_kit.release.bundle import read_bundle, write_bundle
from infmap_kit.release.install import install_bundle
from infmap_kit.release.publish import reference_runner
from infmap_kit.release.signature import configured_key, fingerprint, signer, verifier
from infmap_kit.release.source import read_source
from infmap_kit.targets.embedded import EmbeddedOptions
from infmap_kit.triton.releases import releases_of, roll_back
from infmap_kit.triton.repository import check_repository
from small_network import small_network


def make_run(folder: Path, *, bias: float = -9.0) -> Path:
    """A run folder as training hands it over, with a small network."""
    folder.mkdir(parents=True)
    onnx.save(small_network(bias=bias), folder / "segmentation.onnx")
    ModelSpec(
        name="small",
        version=f"v{bias}",
        network=NetworkSpec(architecture="unet", encoder="densenet121"),  # type: ignore[arg-type]
        files={"segmentation.onnx": sha256_of(folder / "segmentation.onnx")},
    ).write(folder / "spec.json")
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run")


@pytest.fixture
def bundle(run: Path) -> Path:
    path = run.parent / "small.bundle"
    write_bundle(run, path, pictures=synthetic_pictures()[:3])
    return path


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A key pair by OpenSSL, as an administrator makes it."""
    folder = tmp_path_factory.mktemp("keys")
    private, public = folder / "key.pem", folder / "key.pub.pem"
    try:
        subprocess.run(
            ["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True, capture_output=True,
        )  # fmt: skip
    except FileNotFoundError:
        pytest.skip("needs openssl, which is not here")
    subprocess.run(
        ["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True, capture_output=True,
    )  # fmt: skip
    return private, public


def test_two_bundles_of_one_run_are_the_same(run: Path, tmp_path: Path) -> None:
    pictures = synthetic_pictures()
    for name in ("a", "b"):
        write_bundle(run, tmp_path / name, pictures=pictures)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_what_the_network_said_comes_along(run: Path, bundle: Path) -> None:
    runner = reference_runner(read_source(run))
    read = read_bundle(bundle)
    assert [name for name, _ in read.pictures] == ["gate-0001", "gate-0002", "gate-0003"]
    for (_, original), (name, picture) in zip(synthetic_pictures(), read.pictures, strict=False):
        assert (picture == original).all()
        expected = runner.predict("", original)
        recorded = read.reference.predict(name, picture)
        assert np.abs(recorded.probability - expected.probability).max() <= 2**-17 + 1e-7
        assert recorded.detected == expected.detected
        assert recorded.severity_percent == expected.severity_percent, "no pixel crosses 0.5"


def test_names_of_pictures_stay_at_home(run: Path, tmp_path: Path) -> None:
    pictures = [("Doe_Jane.png", synthetic_pictures()[0][1])]
    write_bundle(run, tmp_path / "b", pictures=pictures)
    assert b"Jane" not in (tmp_path / "b").read_bytes()


def test_install_publishes_the_next_release(bundle: Path, tmp_path: Path) -> None:
    repository = tmp_path / "model_repository"
    for _ in range(2):
        manifest, gate = install_bundle(bundle, repository, EmbeddedOptions(), unsigned=True)
        assert gate.passed
    assert check_repository(repository) == manifest
    assert manifest.release == 2
    assert manifest.model["bundle"]["sha256"] == sha256_of(bundle)
    assert roll_back(repository).release == 1


def test_flipped_bytes_are_found_before_anything_is_used(bundle: Path, tmp_path: Path) -> None:
    content = bundle.read_bytes()
    repository = tmp_path / "model_repository"
    positions = np.random.default_rng(7).choice(len(content), 300, replace=False)
    for position in positions:
        flipped = bytearray(content)
        flipped[position] ^= 0x10
        bundle.write_bytes(flipped)
        with pytest.raises(BundleError):
            install_bundle(bundle, repository, EmbeddedOptions(), unsigned=True)
    assert not repository.exists()


def test_a_signed_bundle_is_taken_where_its_key_is_configured(
    run: Path, tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    private, public = keys
    path = tmp_path / "signed.bundle"
    write_bundle(run, path, pictures=synthetic_pictures()[:1], sign=signer(private))
    manifest, _ = install_bundle(path, tmp_path / "r", EmbeddedOptions(), public_key=public)
    assert manifest.model["bundle"]["signed_by"] == fingerprint(public)


def test_an_unsigned_or_altered_bundle_is_refused_where_a_key_is_configured(
    run: Path, bundle: Path, tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    private, public = keys
    repository = tmp_path / "r"
    with pytest.raises(BundleError, match="is not signed"):
        install_bundle(bundle, repository, EmbeddedOptions(), public_key=public)
    path = tmp_path / "signed.bundle"
    write_bundle(run, path, pictures=synthetic_pictures()[:1], sign=signer(private))
    files = dict(read_archive(path).files)
    seen = []
    read_archive(path, verify=lambda *signed: seen.append(signed))
    files["MODEL_CARD.md"] += b"It is a doctor."
    # The signature that was right for what was there before.
    write_archive(path, files, sign=lambda _: seen[0][1] or b"")
    with pytest.raises(BundleError, match="altered, or signed by somebody else"):
        install_bundle(path, repository, EmbeddedOptions(), public_key=public)
    assert not repository.exists()


def test_another_key_is_not_this_key(run: Path, tmp_path: Path, keys: tuple[Path, Path]) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    other = Ed25519PrivateKey.generate()
    path = tmp_path / "signed.bundle"
    write_bundle(run, path, pictures=synthetic_pictures()[:1], sign=other.sign)
    with pytest.raises(BundleError, match="signed by somebody else"):
        read_bundle(path, verify=verifier(keys[1]))


def test_keys_that_are_none_are_named(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    private, public = keys
    (tmp_path / "text").write_text("hello")
    rsa = tmp_path / "rsa.pem"
    subprocess.run(["openssl", "genrsa", "-out", rsa, "2048"], check=True, capture_output=True)
    for use, key, reason in (
        (signer, tmp_path / "text", "expected a private key"),
        (signer, public, "expected a private key"),
        (signer, rsa, "expected a private Ed25519 key"),
        (verifier, private, "expected a public key"),
        (verifier, tmp_path / "none", "cannot read the key"),
    ):
        with pytest.raises(BundleError, match=reason) as caught:
            use(key)
        assert "\n" not in str(caught.value)


def test_the_environment_names_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFMAP_KIT_PUBLIC_KEY", "/keys/ours.pem")
    assert configured_key() == Path("/keys/ours.pem")
    assert configured_key(Path("given.pem")) == Path("given.pem")


def _graph(files: dict[str, bytes], name: str = "segmentation") -> onnx.ModelProto:
    return onnx.load_from_string(files[f"graphs/{name}.onnx"])


def _perturb(files: dict[str, bytes]) -> None:
    model = _graph(files)
    (weight,) = [t for t in model.graph.initializer if t.name == "weight"]
    values = numpy_helper.to_array(weight) * np.float32(1.05)
    weight.CopyFrom(numpy_helper.from_array(values, "weight"))
    files["graphs/segmentation.onnx"] = model.SerializeToString()


def _shift(files: dict[str, bytes]) -> None:
    """The Resize that an exporter got wrong: half a pixel aside."""
    model = _graph(files)
    (resize,) = [n for n in model.graph.node if n.op_type == "Resize" and n.output[0] == "larger"]
    for attribute in resize.attribute:
        if attribute.name == "nearest_mode":
            attribute.s = b"ceil"
    files["graphs/segmentation.onnx"] = model.SerializeToString()


def _poison(files: dict[str, bytes]) -> None:
    model = _graph(files)
    (weight,) = [t for t in model.graph.initializer if t.name == "weight"]
    values = numpy_helper.to_array(weight).copy()
    values.ravel()[4] = np.nan
    weight.CopyFrom(numpy_helper.from_array(values, "weight"))
    files["graphs/segmentation.onnx"] = model.SerializeToString()


def _swap_channels(files: dict[str, bytes]) -> None:
    model = _graph(files, "rendering")
    (table,) = [t for t in model.graph.initializer if t.name == "table"]
    swapped = numpy_helper.to_array(table)[:, ::-1].copy()
    table.CopyFrom(numpy_helper.from_array(swapped, "table"))
    files["graphs/rendering.onnx"] = model.SerializeToString()


def _move_threshold(files: dict[str, bytes]) -> None:
    text = onnx.printer.to_text(_graph(files, "detection")).replace("{0.5}", "{0.4}")
    moved = onnx.parser.parse_model(text)
    assert moved.SerializeToString() != files["graphs/detection.onnx"]
    files["graphs/detection.onnx"] = moved.SerializeToString()


def _external(files: dict[str, bytes]) -> None:
    model = _graph(files)
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    files["graphs/segmentation.onnx"] = model.SerializeToString()


def _cut(files: dict[str, bytes]) -> None:
    files["graphs/segmentation.onnx"] = files["graphs/segmentation.onnx"][:-100]


@pytest.mark.parametrize(
    ("sabotage", "error", "reason"),
    [
        (_perturb, GateFailed, "Dice of at least 0.999"),
        (_shift, GateFailed, "Dice of at least"),
        (_poison, ExportError, "NaN|not-a-number"),
        (_swap_channels, GateFailed, "not what its own probability gives"),
        (_move_threshold, GateFailed, "its threshold was moved"),
        (_external, ExportError, "in another file"),
        (_cut, ExportError, "cut off|not a valid"),
        (lambda files: files.pop("graphs/detection.onnx"), BundleError, "lacks graphs/detection"),
        (lambda files: files.update({"gate/0002.png": b"x"}), BundleError, "no picture gate/0002"),
    ],
)
def test_sabotage_by_somebody_who_repairs_the_hashes_is_stopped(
    bundle: Path,
    tmp_path: Path,
    sabotage: Callable[[dict[str, bytes]], None],
    error: type[Exception],
    reason: str,
) -> None:
    """No key is configured, so only the gate and the safe readers stand between this and the patients."""
    repository = tmp_path / "model_repository"
    install_bundle(bundle, repository, EmbeddedOptions(), unsigned=True)
    with pytest.raises(error, match=reason) as caught:
        install_bundle(
            altered_bundle(bundle, sabotage), repository, EmbeddedOptions(), unsigned=True
        )
    assert "\n" not in str(caught.value)
    assert check_repository(repository).release == 1, "what is served is untouched"
    assert len(releases_of(repository)) == 1


def test_a_manipulated_manifest_is_found(bundle: Path, tmp_path: Path) -> None:
    repository = tmp_path / "model_repository"
    install_bundle(bundle, repository, EmbeddedOptions(), unsigned=True)
    path = repository / "manifest.json"
    document = json.loads(path.read_text())
    document["gate"]["dice"] = 1.0
    document["model"]["name"] = "a better one"
    path.write_text(json.dumps(document))
    with pytest.raises(SpecError, match="was altered since it was published"):
        check_repository(repository)


def test_a_run_that_is_none_is_said(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="is no run folder"):
        write_bundle(tmp_path, tmp_path / "b", pictures=synthetic_pictures()[:1])
    assert not (tmp_path / "b").exists()
