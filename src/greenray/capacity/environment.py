"""What a measurement depends on, beside the code: hardware, kernel, versions, settings."""

from __future__ import annotations

import os
import platform
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from greenray.capacity.cpu_clock import resolution_s
from greenray.coding.codec import get_codec
from greenray.coding.hashing import kernel_name

_PACKAGES = ("greenray", "ray", "numpy", "aiohttp", "pyarrow", "pyeclib", "zfec", "web3")
_CPU_FLAGS = ("sha_ni", "avx2", "avx512f", "gfni")

_PROCESSOR_KIND = ("cpu family", "model", "stepping", "CPU implementer", "CPU part")
"""Names in /proc/cpuinfo, of x86 and of ARM."""


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0))


def worker_counts() -> tuple[int, ...]:
    """1, 2, 4, ... and all cores."""
    powers = [1 << i for i in range(cores().bit_length())]
    return tuple(sorted({*(p for p in powers if p <= cores()), cores()}))


def describe_environment(settings: Mapping[str, Any]) -> dict[str, Any]:
    """JSON-ready. ``settings``: those of the benchmark. Names no path and no host."""
    model, kind, flags = _processor()
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": model,
        "processor_kind": kind,
        "processor_features": [flag for flag in _CPU_FLAGS if flag in flags],
        "cores": cores(),
        "memory_bytes": psutil.virtual_memory().total,
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
        "codec": get_codec().name,
        "sha256": kernel_name(),
        "versions": {name: found for name in _PACKAGES if (found := _version(name))},
        "cpu_time_resolution_s": resolution_s(),
        "load_average_before": os.getloadavg()[0],
        "settings": dict(settings),
    }


def _processor() -> tuple[str, str, set[str]]:
    """(name, kind, flags). The name may be one that a hypervisor gives to all that it has, the kind
    tells them apart."""
    fields: dict[str, str] = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    model = fields.get("model name") or platform.machine()
    kind = [f"{name} {fields[name]}" for name in _PROCESSOR_KIND if name in fields]
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    return model, ", ".join(kind), flags


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
