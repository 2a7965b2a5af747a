"""The server: its build, every subset of the outputs over gRPC and HTTP, and a restart."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator

import numpy as np

from infmap_kit.errors import ServerError
from infmap_kit.gate.bounds import thresholds_for
from infmap_kit.model.identity import ModelIdentity
from infmap_kit.model.tensors import CANVAS, IMAGE
from infmap_kit.parts.contract import ENSEMBLE
from infmap_kit.site_acceptance.answers import (
    Answer,
    ask_over_http,
    difference,
    question,
    subsets,
)
from infmap_kit.site_acceptance.line import AcceptanceLine, judged
from infmap_kit.site_acceptance.site import Site
from infmap_kit.triton.client import InfmapClient
from infmap_kit.triton.repository import served_contract
from infmap_kit.triton.server.runtime import TRITON_VERSION, find_runtime

_BATCH = 3


def start_server(site: Site) -> Iterator[AcceptanceLine]:
    """Start the server, and ask which it is and what it serves."""
    begun = time.monotonic()
    server = site.start()
    ready_s = time.monotonic() - begun
    yield judged(
        "start", "ready, with every model loaded", f"ready after {ready_s:.1f} s", good=True
    )
    manifest = site.manifest
    with InfmapClient(server.grpc_url) as client:
        build, served = f"triton {client.server_version()}", client.model()
    # Of a server of somebody else's, such as the one of NVIDIA's image, no version is prescribed.
    is_ours = find_runtime().folder is not None
    expected = f"triton {TRITON_VERSION}" if is_ours else "a Triton server"
    good = build == expected if is_ours else build.startswith("triton ")
    yield judged("server build", expected, build, good=good)
    wanted = ModelIdentity.of(manifest.model, target=manifest.target, precision=manifest.precision)
    yield judged(
        "served model",
        _identity(wanted),
        _identity(served),
        good=_identity(wanted) == _identity(served),
    )


def ask_for_outputs(site: Site) -> Iterator[AcceptanceLine]:
    """Ask for all subsets of the outputs over gRPC and HTTP, and for several pictures at once."""
    server, manifest = site.server(), site.manifest
    contract, bounds = served_contract(manifest), thresholds_for(manifest.precision)
    image, canvas = question()
    names = [tensor.name for tensor in contract.ensemble.outputs]
    with InfmapClient(server.grpc_url) as client:
        whole = client.infer(image, canvas, outputs=names)

        def over_grpc(outputs: Collection[str]) -> Answer:
            return client.infer(image, canvas, outputs=outputs)

        def over_http(outputs: Collection[str]) -> Answer:
            return ask_over_http(server.http_url, image, canvas, outputs)

        ways: dict[str, Callable[[Collection[str]], Answer]] = {
            "gRPC": over_grpc,
            "HTTP": over_http,
        }
        asked = list(subsets(contract))
        for way, ask in ways.items():
            wrong = []
            for done, outputs in enumerate(asked):
                site.progress(f"outputs over {way}", done, len(asked))
                try:
                    answer = ask(outputs)
                except ServerError as error:
                    wrong.append(f"{'+'.join(outputs)}: {error}")
                    continue
                if why := difference({name: whole[name] for name in outputs}, answer, bounds):
                    wrong.append(f"{'+'.join(outputs)}: {why}")
            good = len(asked) - len(wrong)
            found = "; ".join([f"{good} of {len(asked)} subsets answered right", *wrong[:3]])
            expected = f"{len(asked)} subsets, each with just these outputs"
            yield judged(f"outputs over {way}", expected, found, good=not wrong)
        site.progress("several pictures at once", 0, 1)
        inputs = {
            IMAGE.name: np.stack([image] * _BATCH),
            CANVAS.name: np.stack([canvas] * _BATCH),
        }
        several = client.ask(ENSEMBLE.name, inputs, names)
    rows = [{name: value[row] for name, value in several.items()} for row in range(_BATCH)]
    wrong = [why for row in rows if (why := difference(whole, row, bounds))]
    found = "; ".join(wrong) or "the same answers"
    expected = "the answers of one at a time"
    yield judged(f"{_BATCH} pictures in a request", expected, found, good=not wrong)


def restart_server(site: Site) -> Iterator[AcceptanceLine]:
    """End the server in order, start it on the same ports, and ask again."""
    bounds = thresholds_for(site.manifest.precision)
    image, canvas = question()
    with InfmapClient(site.server().grpc_url) as client:
        before = client.infer(image, canvas)
    begun = time.monotonic()
    site.stop()
    stopped_s = time.monotonic() - begun
    with InfmapClient(site.start().grpc_url) as client:
        after = client.infer(image, canvas)
    why = difference(before, after, bounds)
    took = f"ended after {stopped_s:.1f} s, answers again after {time.monotonic() - begun:.1f} s"
    expected = "the same ports, and the same answer"
    yield judged("restart", expected, f"{took}: {why or 'the same answer'}", good=not why)


def _identity(model: ModelIdentity) -> str:
    words = [
        model.get("model_name", "unnamed"),
        model.get("model_version", ""),
        model.get("target", ""),
    ]
    graph = (model.onnx_sha256() or "none")[:16]
    return f"{' '.join(filter(None, words))}, {model.precision}, graph {graph}"
