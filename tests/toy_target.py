"""A target in one file outside the package: ONNX Runtime in the toolkit, Triton's python backend in the server.

Run as a program it is infmap-kit with this target: `python tests/toy_target.py export RUN --target toy`.
"""

from __future__ import annotations

import dataclasses
import functools
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx

from infmap_kit.errors import HostMismatch
from infmap_kit.gate.engines import OnnxRuntimeEngine
from infmap_kit.gate.runners import EngineRunner
from infmap_kit.model.precision import Precision
from infmap_kit.parts.contract import ENSEMBLE, Contract
from infmap_kit.progress import Progress
from infmap_kit.targets.check import HostCheck, ok
from infmap_kit.targets.embedded import EmbeddedOptions
from infmap_kit.targets.embedded_configs import embedded_configs, graph_file
from infmap_kit.targets.registry import register
from infmap_kit.targets.target import Build, OpenedModel, Proof, Setting, Target, TargetOptions
from infmap_kit.tensorrt.gpus import Image
from infmap_kit.triton import python_model
from infmap_kit.triton.releases import Draft
from infmap_kit.triton.repository import Manifest, served_contract, version_folder


@dataclasses.dataclass(frozen=True, kw_only=True)
class ToyOptions(TargetOptions):
    """An option that no other target has."""

    target = "toy"
    precisions = (Precision.FP32,)

    marbles: int = dataclasses.field(default=3, metadata={"help": "Of the toy target.", "min": 1})


class Toy(Target):
    """Not one of ours."""

    options = ToyOptions
    model_file = "model.py"
    backend = "python"
    in_container = False

    def build(
        self,
        options: ToyOptions,
        graphs: Mapping[str, onnx.ModelProto],
        *,
        draft: Draft,
        proof: Proof,
        progress: Progress,
    ) -> Build:
        """Write the graphs, and the runner of the embedded target beside them."""
        contract = Contract.of_graphs(graphs)
        for name, graph in graphs.items():
            path = draft.write(ENSEMBLE.name, graph_file(name), graph.SerializeToString())
        shutil.copyfile(python_model.__file__, path.with_name(self.model_file))
        files = self.files(draft.folder, draft.release, [*graphs])
        engines = {name: OnnxRuntimeEngine(file.read_bytes()) for name, file in files.items()}
        return Build(
            target=self.name,
            precision=Precision.FP32,
            runner=EngineRunner(engines, contract),
            configs=functools.partial(
                embedded_configs, EmbeddedOptions(threads=1), contract=contract
            ),
            model={"marbles": options.marbles},
        )

    def files(self, folder: Path, release: int, graphs: Sequence[str]) -> dict[str, Path]:
        """All beside the runner."""
        version = version_folder(folder, ENSEMBLE.name, release)
        return {name: version / graph_file(name) for name in graphs}

    def open(self, repository: Path, manifest: Manifest) -> OpenedModel:
        """On ONNX Runtime."""
        contract = served_contract(manifest)
        names = [graph.name for graph in contract.graphs]
        files = self.files(repository, manifest.release, names)
        engines = {name: OnnxRuntimeEngine(file.read_bytes()) for name, file in files.items()}
        return OpenedModel(contract=contract, engines=engines, references=files)

    def image(self, manifest: Manifest) -> Image:
        """There is none."""
        raise HostMismatch("no container plays with marbles: serve it without one")

    def settings(self, manifest: Manifest, cores: int) -> list[Setting]:
        """As it is."""
        return [Setting(threads=1, instances=1)]

    def set(self, folder: Path, setting: Setting) -> None:
        """Leave it as it is."""

    def checks(self, manifest: Manifest) -> Iterator[HostCheck]:
        """All marbles are there."""
        yield ok("marbles", f"All {manifest.model['marbles']} marbles are here.")


def main() -> Any:
    """Run infmap-kit, whose options are made when it is imported."""
    register(Toy())
    from infmap_kit.cli import main as infmap_kit

    return infmap_kit()


if __name__ == "__main__":
    main()
