#!/usr/bin/env python
"""What Triton's system shared memory would save a client on the same host, and what bytes of probability save.

One bare Triton, whose shared-memory API is open, is asked in turn: by gRPC for finding and map alone, with the
probability in FP32 and in bytes, and for the last with inputs and outputs in shared memory. Each way ends with
the figures of a result's JSON, computed here where they did not come. What counts is the difference within a
round. The machine should have nothing else to do.

Example: ``.venv/bin/python scripts/shared_memory_gain.py --repository demo-output/model_repository``
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from guard_latency import WARM_UP, bare_triton, paired

from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.model.tensors import SUMMARY_OUTPUTS
from infmap_kit.parts.reading import read_answer
from infmap_kit.triton.inference import asked_outputs

LEAST, EXACT, BYTES, SHARED = (
    "gRPC, no probability",
    "gRPC, FP32",
    "gRPC, bytes",
    "shared memory, bytes",
)
SHORT = tuple(tensor.name for tensor in SUMMARY_OUTPUTS)

Asked = Callable[[], Any]


def main() -> None:
    """Measure, and print milliseconds and differences as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repository", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=1000)
    options = parser.parse_args()
    pixels = synthetic_radiograph(0, height=1024, width=1024).radiograph.pixels
    image = network_input(pixels)
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(bare_triton(shutil.copytree(options.repository, scratch / "r")))
        figures = {
            name: _measured(url, image, canvas, options.samples)
            for name, canvas in (("map of the network's size", image), ("native map", pixels))
        }
    load = os.getloadavg()[0]
    print(json.dumps({"samples": options.samples, "load_average": load, **figures}, indent=2))


def _measured(url: str, image: Any, canvas: Any, samples: int) -> dict[str, object]:
    from tritonclient import grpc

    arrays = {"IMAGE": image[np.newaxis], "CANVAS": np.ascontiguousarray(canvas[np.newaxis])}
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(grpc.InferenceServerClient(url))
        exact = asked_outputs(())
        short = asked_outputs(SHORT, exact=False)
        shared = stack.enter_context(_by_shared_memory(client, arrays, short))
        asked: dict[str, Asked] = {
            LEAST: lambda: _by_grpc(client, arrays, ("DETECTED", "SEVERITY", "INFECTION_MAP")),
            EXACT: lambda: _figures(_by_grpc(client, arrays, exact)),
            BYTES: lambda: _figures(_by_grpc(client, arrays, short)),
            SHARED: lambda: _figures(shared()),
        }
        took: dict[str, list[float]] = {name: [] for name in asked}
        drawn = random.Random(0)  # noqa: S311  # an order, no secret
        for number in range(WARM_UP + samples):
            for name in drawn.sample([*asked], len(asked)):
                began = time.perf_counter()
                asked[name]()
                if number >= WARM_UP:
                    took[name].append(1e3 * (time.perf_counter() - began))
    return {
        "p50_ms": {name: round(statistics.median(values), 3) for name, values in took.items()},
        "probability_costs_ms": paired(took[EXACT], took[LEAST], lambda a, b: a - b),
        "bytes_save_ms": paired(took[EXACT], took[BYTES], lambda a, b: a - b),
        "shared_memory_saves_ms": paired(took[BYTES], took[SHARED], lambda a, b: a - b),
        "shared_memory_over_grpc": paired(took[SHARED], took[BYTES], lambda a, b: a / b),
    }


def _figures(outputs: dict[str, Any]) -> object:
    answer = read_answer({name: value[0] for name, value in outputs.items()})
    return answer.probability_max, answer.severity_at


def _by_grpc(client: Any, arrays: dict[str, Any], outputs: tuple[str, ...]) -> dict[str, Any]:
    from tritonclient import grpc

    inputs = [
        grpc.InferInput(name, list(array.shape), "UINT8").set_data_from_numpy(array)
        for name, array in arrays.items()
    ]
    wanted = [grpc.InferRequestedOutput(name) for name in outputs]
    result = client.infer("infmap", inputs, outputs=wanted)
    return {name: result.as_numpy(name) for name in outputs}


@contextlib.contextmanager
def _by_shared_memory(
    client: Any, arrays: dict[str, Any], outputs: tuple[str, ...]
) -> Iterator[Asked]:
    """Regions are registered once, as a client that goes on asking would; pixels are written each time."""
    from tritonclient import grpc
    from tritonclient.utils import shared_memory, triton_to_np_dtype

    pixels = arrays["CANVAS"].size
    sizes = {
        **{name: array.nbytes for name, array in arrays.items()},
        "DETECTED": 1, "SEVERITY": 4, "PROBABILITY_UINT8": arrays["IMAGE"].size,
        "PROBABILITY_MAX": 4, "IMAGE_SEVERITY_AT": 20, "INFECTION_MAP": 3 * pixels,
    }  # fmt: skip
    regions = {}
    try:
        for name, size in sizes.items():
            key = f"gain-{os.getpid()}-{name}"
            regions[name] = shared_memory.create_shared_memory_region(key, key, size)
            client.register_system_shared_memory(key, key, size)

        def ask() -> dict[str, Any]:
            inputs, wanted = [], []
            for name, array in arrays.items():
                shared_memory.set_shared_memory_region(regions[name], [array])
                tensor = grpc.InferInput(name, list(array.shape), "UINT8")
                tensor.set_shared_memory(f"gain-{os.getpid()}-{name}", array.nbytes)
                inputs.append(tensor)
            for name in outputs:
                tensor = grpc.InferRequestedOutput(name)
                tensor.set_shared_memory(f"gain-{os.getpid()}-{name}", sizes[name])
                wanted.append(tensor)
            response = client.infer("infmap", inputs, outputs=wanted).get_response()
            # Copied, as an answer must be that outlives the next question.
            return {
                one.name: shared_memory.get_contents_as_numpy(
                    regions[one.name], triton_to_np_dtype(one.datatype), list(one.shape)
                ).copy()
                for one in response.outputs
            }

        expected = _by_grpc(client, arrays, outputs)
        for name, value in ask().items():
            if not np.array_equal(value, expected[name]):
                sys.exit(f"error: {name} by shared memory is another")
        yield ask
    finally:
        with contextlib.suppress(Exception):
            client.unregister_system_shared_memory()
        for region in regions.values():
            shared_memory.destroy_shared_memory_region(region)


if __name__ == "__main__":
    main()
