"""Target embedded: the server for CPUs, with OpenVINO in Triton's python backend."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from infmap_kit.errors import HostMismatch, SpecError
from infmap_kit.model.precision import Precision
from infmap_kit.parts.registry import part_of
from infmap_kit.targets.check import HostCheck, ok, problem
from infmap_kit.targets.target import (
    Build,
    CalibratedOptions,
    Graphs,
    OpenedModel,
    Proof,
    Setting,
    Target,
)
from infmap_kit.triton.repository import Manifest, served_contract, version_folder

if TYPE_CHECKING:
    from infmap_kit.progress import Progress
    from infmap_kit.tensorrt.gpus import Image
    from infmap_kit.triton.releases import Draft


@dataclasses.dataclass(frozen=True, kw_only=True)
class EmbeddedOptions(CalibratedOptions):
    """Options of the embedded target.

    Parameters
    ----------
    precision
        Precision of the networks; the other graphs are always computed in FP32. ``None`` leaves the choice
        to the export: the fastest precision that passes the gate.
    threads
        Threads of networks and rendering; 0 is all cores. Detection and summary have a single thread: with more
        they would spend more on handing over than on computing.
    instances
        Copies of the pipeline that run side by side, each a process with threads of its own.
    streams
        Requests that each copy computes at the same time, each on so many threads.
    rest
        Precision of the layers that INT8 leaves as they were.
    """

    target = "embedded"
    precisions = (Precision.FP32, Precision.BF16, Precision.INT8)

    precision: Precision | None = Precision.FP32
    threads: int = dataclasses.field(
        default=0,
        metadata={
            "help": "Number of threads of the embedded target's segmentation; 0 uses all cores."
        },
    )
    instances: int = dataclasses.field(
        default=1,
        metadata={
            "help": "Number of copies of the segmentation that run in parallel; `tune` finds the best number.",
            "min": 1,
        },
    )
    streams: int = dataclasses.field(
        default=1,
        metadata={
            "help": "Number of requests that the embedded target computes at the same time; `tune` finds "
            "the best number.",
            "min": 1,
        },
    )
    rest: Precision = Precision.FP32

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.threads < 0 or self.instances < 1 or self.streams < 1:
            raise SpecError(
                "expected threads of 0 (all cores) or more, at least one instance and one stream, found "
                f"{self.threads}, {self.instances} and {self.streams}"
            )


class Embedded(Target):
    """All graphs in one model of Triton's python backend, on OpenVINO."""

    options = EmbeddedOptions
    model_file = "model.py"
    backend = "python"
    in_container = False
    libraries = ("openvino", "numpy")

    def preferred(self) -> bool:
        """Whether a CPU is here, as on every host."""
        return True

    def build(
        self,
        options: EmbeddedOptions,
        graphs: Graphs,
        *,
        draft: Draft,
        proof: Proof,
        progress: Progress,
    ) -> Build:
        """Write the graphs into a single model, with the runner beside them; see :meth:`Target.build`.

        Raises what :func:`~infmap_kit.targets.candidates.chosen_candidate` raises.
        """
        from infmap_kit.parts.contract import ENSEMBLE
        from infmap_kit.targets.candidates import chosen_candidate
        from infmap_kit.targets.embedded_configs import embedded_configs, graph_file
        from infmap_kit.triton import python_model

        for name, graph in graphs.items():
            content = graph.SerializeToString(deterministic=True)
            path = draft.write(ENSEMBLE.name, graph_file(name), content)
        shutil.copyfile(python_model.__file__, path.with_name(self.model_file))
        chosen, tried = chosen_candidate(options, graphs, path.parent, proof, progress)
        # Radiographs that ranges are taken from go with INT8 alone, and another precision may be the fastest.
        options = dataclasses.replace(
            options, precision=chosen.precision, rest=chosen.rest, calibration_images=None
        )
        return Build(
            target=self.name,
            precision=chosen.precision,
            runner=chosen.runner,
            configs=functools.partial(
                embedded_configs,
                options,
                contract=chosen.contract,
            ),
            model={
                **{
                    f"{part_of(name).record_prefix}convolutions_by_type": engine.precisions()
                    for name, engine in chosen.networks.items()
                },
                **chosen.details,
                **({"candidates": tried} if tried else {}),
            },
        )

    def files(self, folder: Path, release: int, graphs: Sequence[str]) -> dict[str, Path]:
        """The ONNX graphs beside the runner."""
        from infmap_kit.parts.contract import ENSEMBLE
        from infmap_kit.targets.embedded_configs import graph_file

        version = version_folder(folder, ENSEMBLE.name, release)
        return {name: version / graph_file(name) for name in graphs}

    def open(self, repository: Path, manifest: Manifest) -> OpenedModel:
        """Compile the graphs as the runner does; see :meth:`Target.open`."""
        from infmap_kit.gate.engines import OpenvinoEngine
        from infmap_kit.parts.contract import ENSEMBLE, Contract
        from infmap_kit.targets.embedded_configs import served_graphs
        from infmap_kit.triton.config import parse_config

        folder = version_folder(repository, ENSEMBLE.name, manifest.release)
        config = parse_config((repository / ENSEMBLE.name / "config.pbtxt").read_text("utf-8"))
        listed = {graph.name: graph for graph in served_graphs(config)}
        stated = served_contract(manifest)
        contract = Contract.of(listed, stated.image_size, stated.paint)
        for graph in contract.graphs:
            if graph.name not in listed:
                raise SpecError(f"{repository} has no graph for {graph.name!r}: export again")
        engines = {
            name: OpenvinoEngine(folder / g.file, precision=g.precision, threads=g.threads)
            for name, g in listed.items()
        }
        return OpenedModel(
            contract=contract,
            engines=engines,
            references=self.references(repository, manifest),
            inspected=engines[contract.networks[0].name].precisions(),
        )

    def image(self, manifest: Manifest) -> Image:
        """Refuse: no container serves it."""
        raise HostMismatch(
            "target embedded is for the server that infmap-kit brings, and NVIDIA's images lack OpenVINO's "
            "Python package: serve it without --runtime docker, let `deploy compose` write an image with it, "
            "or export with --target tensorrt, onnxruntime or openvino"
        )

    def dockerfile(self, manifest: Manifest) -> str:
        """NVIDIA's recommended image, with the packages that the engines were proved with."""
        from infmap_kit.tensorrt.gpus import recommended_image

        built = manifest.built_with
        packages = (f"{p}=={built[p]}" if p in built else p for p in self.libraries)
        return (
            f"FROM {recommended_image().reference}\n"
            # Newer Debian and Ubuntu keep pip from the system's own packages (PEP 668).
            f"RUN PIP_BREAK_SYSTEM_PACKAGES=1 pip install --no-cache-dir {' '.join(packages)}\n"
        )

    def settings(self, manifest: Manifest, cores: int) -> list[Setting]:
        """Threads in powers of two, for a single request or for as many at the same time as the cores allow.

        These are computed in as many processes, or in one, whose streams share the network's weights.
        """
        threads = sorted({1 << n for n in range(cores.bit_length()) if 1 << n <= cores} | {cores})
        return [
            setting
            for count in threads
            for setting in dict.fromkeys(
                (
                    Setting(threads=count, instances=1),
                    Setting(threads=count, instances=cores // count),
                    Setting(threads=count, instances=1, streams=cores // count),
                )
            )
        ]

    def set(self, folder: Path, setting: Setting) -> None:
        """Write threads, instances and streams into the pipeline's config."""
        from infmap_kit.parts.contract import ENSEMBLE
        from infmap_kit.targets.embedded_configs import (
            SINGLE_THREADED,
            served_graphs,
            set_served_graphs,
            set_streams,
        )
        from infmap_kit.triton.config import config_text, parse_config

        path = folder / ENSEMBLE.name / "config.pbtxt"
        config = parse_config(path.read_text(encoding="utf-8"))
        graphs = [
            graph
            if graph.name in SINGLE_THREADED
            else dataclasses.replace(graph, threads=setting.threads)
            for graph in served_graphs(config)
        ]
        set_served_graphs(config, graphs)
        set_streams(config, setting.streams)
        config.instance_group[0].count = setting.instances
        path.write_text(config_text(config), encoding="utf-8")

    def checks(self, manifest: Manifest) -> Iterator[HostCheck]:
        """Check that the CPU computes in bf16, where the engine does."""
        if manifest.precision != Precision.BF16:
            return
        flags = ""
        with contextlib.suppress(OSError):
            flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        if "avx512_bf16" in flags or "amx_bf16" in flags:
            yield ok("bf16", "This CPU computes in bf16.")
        else:
            yield problem(
                "bf16",
                "The engine is bf16, and this CPU has no instructions for it.",
                "Export or install with --precision fp32.",
            )
