"""The machine that a figure was measured on, so that two figures are compared only when they may be."""

from __future__ import annotations

import os
import platform
from typing import Any

import psutil


def machine() -> dict[str, Any]:
    """Processor, cores, memory, system, and how busy it was: a figure from a loaded machine says little."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_1min": round(psutil.getloadavg()[0], 2),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123 - a device, not a path of ours
            named = next((line for line in file if line.startswith("model name")), "")
    except OSError:
        named = ""
    return named.partition(":")[2].strip() or platform.processor() or platform.machine()
