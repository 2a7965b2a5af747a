"""The embedded target: the server for CPUs, with OpenVINO in Triton's python backend."""

from __future__ import annotations

import functools
import shutil

from infmap_kit.export.engine import EmbeddedEngine, EmbeddedGraph, require_cpu_precision
from infmap_kit.export.judge import EngineJudge
from infmap_kit.export.publish import Build, write_graphs
from infmap_kit.export.source import Source
from infmap_kit.graphs.contract import DETECTION, RENDERING, SEGMENTATION
from infmap_kit.progress import Progress
from infmap_kit.triton import runner
from infmap_kit.triton.backends import MODEL_FILE
from infmap_kit.triton.config import EmbeddedOptions, Target, embedded_configs, openvino_precision
from infmap_kit.triton.releases import Draft


def build_embedded(
    options: EmbeddedOptions, source: Source, draft: Draft, _progress: Progress
) -> Build:
    """Write the graphs, with the runner beside each.

    Parameters
    ----------
    options
        Precision and threads.
    source
        The network.
    draft
        Where to write.

    Raises
    ------
    HostMismatch
        When this CPU cannot compute in that precision.
    """
    require_cpu_precision(options.precision)
    paths = write_graphs(draft, source, MODEL_FILE[Target.EMBEDDED])
    for path in paths.values():
        shutil.copyfile(runner.__file__, path.with_name("model.py"))
    engine = EmbeddedEngine(
        paths[SEGMENTATION.name],
        precision=openvino_precision(options.precision),
        threads=options.threads,
    )
    detection, rendering = (EmbeddedGraph(paths[one.name]) for one in (DETECTION, RENDERING))
    return Build(
        target=Target.EMBEDDED,
        precision=options.precision,
        judge=EngineJudge(engine, detection, rendering),
        configs=functools.partial(embedded_configs, options),
        model={"convolutions_by_type": engine.precisions()},
    )
