"""The record of a measurement: a JSON file with every sample, from which all reports are made."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from infmap_kit.bench.scopes import ENGINE_ALONE, FILE_TO_MAP, IN_PROCESS, RATIOS
from infmap_kit.bench.statistics import Latencies, PairedRatio, StabilityRule, paired_ratio
from infmap_kit.errors import SpecError
from infmap_kit.model.files import read_json, write_bytes
from infmap_kit.model.spec import NetworkSpec
from infmap_kit.paper.table5 import Table5Row, table5_rows

SCHEMA = 2

_NUMBERS = re.compile(r"\[\s+(-?\d[-+.\de,\s]*?)\s+\]")


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchRecord:
    """The record of a measurement: everything that was measured, and on what.

    Parameters
    ----------
    scopes
        Scope, part or baseline (see :mod:`infmap_kit.bench.scopes`) to its samples.
    not_measured
        Scope to the reason why it has no samples.
    server
        Step of the served ensemble to the mean milliseconds of a request, as Triton's own statistics split
        them: ``queue``, ``compute_input``, ``compute_infer``, ``compute_output``, and ``requests``.
    cold_start
        ``ready_ms`` from starting the server's process until it is ready, ``first_request_ms`` of the very
        first request after that; ``engine_ms`` for compiling the engine in the measuring process.
    throughput
        Closed loop, one entry each: ``batch``, ``concurrency``, ``images_per_s`` and the latency of its
        requests.
    cores_limit
        What the cores compute at most of the network alone, by OpenVINO's ``benchmark_app`` in the same run:
        ``one_core_per_s``, ``cores``, their product ``limit_per_s``, and ``throughput_mode_per_s``; or
        ``missing`` with the reason.
    open_loop
        Poisson arrivals, one entry each: ``offered_per_s``, ``answered_per_s``, latency from the intended
        arrival.
    independent
        Figures of another load generator for the same server.
    model
        The model, as the manifest has it.
    target, precision
        Target and precision of the repository.
    beside
        The other model that was measured in the same run: ``name``, ``version``, ``target`` and ``precision``;
        empty without one.
    inspected
        Type to number of the engine's convolutions that compute in it.
    accuracy
        ``gate``: of this very engine against its reference; ``held_back``: of the network on radiographs
        it never saw.
    pictures
        Name, size and format of the radiographs that were asked about.
    machine, versions
        The machine that it was measured on, and the programs.
    started
        UTC, ISO 8601.
    duration_s
        Seconds that measuring took.
    rule
        The rule of stability, as a sentence.
    doubts
        Scope to the reason why it is not stable; empty when all are.
    warnings
        Reservations about the figures, a sentence each.
    failure
        The reason why the measurement ended early; empty when it did not.
    options
        The options of the measurement.
    """

    scopes: dict[str, Latencies]
    model: dict[str, Any]
    target: str
    precision: str
    machine: dict[str, Any]
    versions: dict[str, str]
    started: str
    options: dict[str, Any]
    pictures: list[str] = dataclasses.field(default_factory=list)
    not_measured: dict[str, str] = dataclasses.field(default_factory=dict)
    server: dict[str, dict[str, float]] = dataclasses.field(default_factory=dict)
    cold_start: dict[str, float] = dataclasses.field(default_factory=dict)
    throughput: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    cores_limit: dict[str, Any] = dataclasses.field(default_factory=dict)
    open_loop: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    independent: dict[str, Any] = dataclasses.field(default_factory=dict)
    beside: dict[str, str] = dataclasses.field(default_factory=dict)
    inspected: dict[str, int] = dataclasses.field(default_factory=dict)
    accuracy: dict[str, Any] = dataclasses.field(default_factory=dict)
    duration_s: float = 0.0
    rule: str = ""
    doubts: dict[str, str] = dataclasses.field(default_factory=dict)
    warnings: list[str] = dataclasses.field(default_factory=list)
    failure: str = ""
    schema: int = SCHEMA

    @property
    def overhead_ms(self) -> float | None:
        """The latency of everything around the engine: file to map less engine alone, at p50."""
        if not {FILE_TO_MAP, ENGINE_ALONE} <= self.scopes.keys():
            return None
        return self.scopes[FILE_TO_MAP].p50_ms - self.scopes[ENGINE_ALONE].p50_ms

    @property
    def overhead_in_process_ms(self) -> float | None:
        """The same without a server: file to map in the process less engine alone, at p50."""
        if not {IN_PROCESS, ENGINE_ALONE} <= self.scopes.keys():
            return None
        return self.scopes[IN_PROCESS].p50_ms - self.scopes[ENGINE_ALONE].p50_ms

    @property
    def ratios(self) -> dict[str, PairedRatio]:
        """Ratios of scopes, which can be compared between machines since both sides are of the same run."""
        return {
            f"{scope} / {other}": paired_ratio(self.scopes[scope], self.scopes[other])
            for scope, other in self._judged
        }

    @property
    def paper_ratio(self) -> PairedRatio | None:
        """The engine alone to Table V's time, which is of another machine: of the median, with its interval."""
        row = self.paper_row
        if row is None or ENGINE_ALONE not in self.scopes:
            return None
        engine = self.scopes[ENGINE_ALONE]
        low, high = engine.p50_interval_ms()
        return PairedRatio(
            ratio=engine.p50_ms / row.time_ms,
            low=low / row.time_ms,
            high=high / row.time_ms,
            pairs=0,
        )

    @property
    def unsettled(self) -> dict[str, str]:
        """The figures that are not certain, among those that decide, with the reason for each.

        That is its ratios; where it has none, its scopes. A time may be unsure while its ratios are sure.
        """
        rule = StabilityRule(
            samples=self.options.get("samples", 200),
            tolerance_percent=self.options.get("tolerance_percent", 5.0),
        )
        if not self._judged:
            return self.doubts
        return {
            f"{scope} / {other}": doubt
            for scope, other in self._judged
            if (doubt := rule.ratio_doubt(self.scopes[scope], self.scopes[other]))
        }

    @property
    def _judged(self) -> list[tuple[str, str]]:
        return [pair for pair in RATIOS if set(pair) <= self.scopes.keys()]

    @property
    def paper_row(self) -> Table5Row | None:
        """Table V's row for the measured network; ``None`` when it is none of the 24, or not known."""
        network: Mapping[str, Any] | None = self.model.get("network")
        if not network:
            return None
        spec = NetworkSpec(**network)
        return next((row for row in table5_rows() if row.network == spec), None)

    @property
    def slug(self) -> str:
        """The record's name for files: network, precision, time."""
        network = self.paper_row.network if self.paper_row else None
        name = f"{network.architecture}-{network.encoder}" if network else str(self.model["name"])
        stem = re.sub(r"[\W_]+", "-", name.lower().replace("+", "p")).strip("-")
        stamp = self.started[:19].replace(":", "").replace("-", "")
        return f"latency-{stem}-{self.precision}-{stamp}"

    def as_json(self) -> dict[str, Any]:
        """The record for a file: figures and raw samples."""
        document = dataclasses.asdict(self)
        document["scopes"] = {
            name: {
                **_rounded(dataclasses.asdict(latencies.summary())),
                "samples_ms": [round(ms, 3) for ms in latencies.samples_ms],
            }
            for name, latencies in self.scopes.items()
        }
        document["overhead_p50_ms"] = self.overhead_ms
        document["overhead_in_process_p50_ms"] = self.overhead_in_process_ms
        document["ratios"] = {
            name: _rounded(dataclasses.asdict(ratio)) for name, ratio in self.ratios.items()
        }
        return document

    def write(self, path: Path) -> None:
        """Write the record as JSON, each scope's samples on one line."""
        write_bytes(path, compact_json(self.as_json()).encode())

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a record; raises what :meth:`from_json` raises."""
        return cls.from_json(read_json(path), str(path))

    @classmethod
    def from_json(cls, document: dict[str, Any], name: str) -> Self:
        """A record from its JSON; figures are made anew from the samples.

        Raises
        ------
        SpecError
            When it is no record, or a record of another schema.
        """
        if document.get("schema") != SCHEMA or not isinstance(document.get("scopes"), dict):
            raise SpecError(
                f"expected {name} to be a record of `infmap-kit bench` (schema {SCHEMA}), found "
                f"{'schema ' + str(document['schema']) if 'schema' in document else 'none'}: measure again"
            )
        known = {field.name for field in dataclasses.fields(cls)}
        fields = {key: value for key, value in document.items() if key in known}
        try:
            fields["scopes"] = {
                scope: Latencies(tuple(float(ms) for ms in entry["samples_ms"]))
                for scope, entry in document["scopes"].items()
            }
            return cls(**fields)
        except (TypeError, KeyError, ValueError, SpecError) as error:
            raise SpecError(f"{name} is not a whole record: {error}; measure again") from error


def compact_json(document: object) -> str:
    """JSON for people and for version control: indented, lists of numbers on one line."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    return _NUMBERS.sub(lambda match: f"[{' '.join(match[1].split())}]", text) + "\n"


def _rounded(figures: dict[str, Any]) -> dict[str, Any]:
    return {
        key: round(value, 4) if isinstance(value, float) else value
        for key, value in figures.items()
    }
