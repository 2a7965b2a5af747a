"""The machine of a measurement, and its load by others."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infmap_kit.errors import HostMismatch
from infmap_kit.tensorrt.present_gpu import present_gpu

_CPU_FEATURES = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_int8")

BUSY_PERCENT = 20.0
"""Share of all cores that others may use before a measurement; beyond it the machine counts as loaded."""

_LOOK_S = 1.0


def describe_machine() -> dict[str, Any]:
    """Processor, cores, clocks, memory, system, load and GPU of this machine; nothing that names it.

    Takes a second, in which it looks at what others do.
    """
    fields = _cpu_fields()
    flags = set(fields.get("flags", "").split())
    return {
        "processor": fields.get("model name", platform.processor() or "unknown"),
        "cores": os.cpu_count() or 1,
        "cores_allowed": len(os.sched_getaffinity(0)),
        "cpu_features": [feature for feature in _CPU_FEATURES if feature in flags],
        "clock_mhz": clock_mhz(),
        "governor": _text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip()
        or "not readable",
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "load_before": round(os.getloadavg()[0], 2),
        "busy_before_percent": round(busy_percent(_LOOK_S), 1),
        **_gpu(),
    }


def loaded(machine: dict[str, Any]) -> str:
    """One sentence when others used the machine before it was measured; else empty."""
    busy = float(machine.get("busy_before_percent", 0))
    if busy <= BUSY_PERCENT:
        return ""
    return (
        f"The machine was loaded: before the measurement others used {busy:.0f} % of its cores "
        f"(at most {BUSY_PERCENT:.0f} % is quiet). Compare within this record only, or measure again."
    )


def clock_mhz() -> list[int] | str:
    """Each core's present clock in MHz, as far as the system tells."""
    lines = _text("/proc/cpuinfo").splitlines()
    clocks = [round(float(line.partition(":")[2])) for line in lines if line.startswith("cpu MHz")]
    return clocks or "not readable"


def busy_percent(seconds: float) -> float:
    """Share of all cores that is in use during some seconds, in which the caller sleeps."""
    before = _ticks()
    time.sleep(seconds)
    after = _ticks()
    total = sum(after.values()) - sum(before.values())
    idle = sum(after[kind] - before[kind] for kind in ("idle", "iowait") if kind in after)
    return 100 * (1 - idle / total) if total > 0 else 0.0


def stolen_ticks() -> int:
    """Time that the hypervisor took from this virtual machine since it started, in ticks of the system."""
    return _ticks().get("steal", 0)


def _ticks() -> dict[str, int]:
    names = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
    first = _text("/proc/stat").partition("\n")[0]
    return dict(zip(names, map(int, first.split()[1:]), strict=False))


def _gpu() -> dict[str, str | int]:
    try:
        gpu = present_gpu()
    except HostMismatch:
        return {"gpu": "none"}
    return {"gpu": gpu.name, "driver": gpu.driver}


def machine_summary(machine: Mapping[str, Any]) -> str:
    """Processor, cores and GPU of a described machine, for a sentence."""
    gpu = str(machine.get("gpu", "none"))
    gpu = "no GPU" if gpu.startswith("none") else gpu
    return f"{machine.get('processor')} with {machine.get('cores')} cores and {gpu}"


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""


def _cpu_fields() -> dict[str, str]:
    """The first processor of /proc/cpuinfo."""
    first = _text("/proc/cpuinfo").partition("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}
