"""A spill fails a benchmark, so it must be seen. In a process of its own: it starts Ray."""

from __future__ import annotations

import subprocess
import sys

_PROGRAM = """
import numpy as np, ray
from greenray.cluster.on_ray.runtime import start_ray, stop_ray
from greenray.cluster.on_ray.private import spilled_bytes

start_ray(cpus=1, object_store_bytes=80 << 20, namespace="spill")
kept = [ray.put(np.ones(16 << 20, np.uint8)) for _ in range(2)]
before = spilled_bytes()
kept += [ray.put(np.ones(16 << 20, np.uint8)) for _ in range(6)]
print(before, spilled_bytes())
stop_ray()
"""


def test_bytes_that_the_object_store_spills_are_counted() -> None:
    ran = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    before, after = map(int, ran.stdout.split())
    assert before == 0
    assert after >= 3 * (16 << 20)
