"""The gate again, on this very host: each precision and profile that the manifest names."""

from __future__ import annotations

from collections.abc import Iterator

from infmap_kit.errors import GateFailed, SpecError
from infmap_kit.gate.bounds import Thresholds, thresholds_for
from infmap_kit.gate.comparison import GateReport, compare
from infmap_kit.gate.runners import BatchedRunner, Runner, ServedRunner
from infmap_kit.model.identity import ModelIdentity
from infmap_kit.release.source import Origin
from infmap_kit.release.verify import require_same_model
from infmap_kit.site_acceptance.line import NEEDS_A_GPU, AcceptanceLine, judged, not_run
from infmap_kit.site_acceptance.site import Site
from infmap_kit.targets.backends import on_gpu
from infmap_kit.tensorrt.present_gpu import has_gpu
from infmap_kit.triton.client import InfmapClient
from infmap_kit.triton.repository import Manifest

_NO_NETWORK = "the repository keeps no network in FP32: give the run or bundle as --origin"


def pass_gate(site: Site) -> Iterator[AcceptanceLine]:
    """Hold the repository's engines to their reference, in requests of each number of pictures."""
    manifest, origin = site.manifest, site.options.origin
    if origin is not None:
        yield _same_network(origin, manifest)
    batches, pictures = _batches(manifest), site.options.named_pictures
    names = {f"gate, {manifest.precision}, {_shown(batch)} a request": batch for batch in batches}
    if reason := _cannot_run(site, manifest):
        for name in names:
            yield not_run(name, _expected(thresholds_for(manifest.precision)), reason)
        return
    runner = site.model.runner
    for name, batch in names.items():
        yield _line(name, runner if batch == 1 else BatchedRunner(runner, pictures, batch), site)


def pass_gate_served(site: Site) -> Iterator[AcceptanceLine]:
    """Hold what the running server answers to the reference."""
    manifest = site.manifest
    if reason := _cannot_run(site, manifest):
        yield not_run("gate, served", _expected(thresholds_for(manifest.precision)), reason)
        return
    with InfmapClient(site.server().grpc_url) as client:
        yield _line("gate, served", ServedRunner(client), site)


def _line(name: str, candidate: Runner, site: Site) -> AcceptanceLine:
    bounds = thresholds_for(site.manifest.precision)
    if (reference := site.reference) is None:
        raise SpecError(_NO_NETWORK)
    try:
        gate = compare(
            reference,
            candidate,
            site.options.named_pictures,
            thresholds=bounds,
            progress=site.progress,
        )
    except GateFailed as error:
        return judged(name, _expected(bounds), str(error), good=False)
    return judged(name, _expected(bounds), _found(gate), good=gate.passed)


def _cannot_run(site: Site, manifest: Manifest) -> str:
    """The reason why nothing can be compared here; empty when it can."""
    if on_gpu(manifest) and not has_gpu():
        return NEEDS_A_GPU
    if site.reference is None:
        return _NO_NETWORK
    return ""


def _same_network(origin: Origin, manifest: Manifest) -> AcceptanceLine:
    expected = f"graph {origin.source.identity.get('onnx_sha256', 'of the origin')[:16]}"
    served = ModelIdentity.of(manifest.model, target=manifest.target, precision=manifest.precision)
    try:
        require_same_model(origin.source, served, "the repository")
    except GateFailed as error:
        return judged("network", expected, str(error), good=False)
    return judged("network", expected, f"graph {(served.onnx_sha256() or '')[:16]}", good=True)


def _batches(manifest: Manifest) -> list[int]:
    """Numbers of pictures in a request: the profiles of the engine, and those that were proved."""
    profiles = manifest.model.get("backend", {}).get("batches", [])
    proved = map(int, manifest.gate.get("batches", {}))
    return sorted({1, *profiles, *proved})


def _shown(count: int) -> str:
    return "1 picture" if count == 1 else f"{count} pictures"


def _expected(bounds: Thresholds) -> str:
    return (
        f"Dice of {bounds.min_dice:g} or more, {bounds.max_flips} detections changed, 99.9 % of the errors "
        f"within {bounds.max_error_p999:g}"
    )


def _found(gate: GateReport) -> str:
    if not gate.passed:
        return f"not equivalent: {'; '.join(gate.reasons())}"
    return (
        f"Dice {gate.dice:.6f}, {len(gate.flips)} detections changed, 99.9 % of the errors within "
        f"{gate.error_p999:.1e}, over {len(gate.pictures)} pictures"
    )
