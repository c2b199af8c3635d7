"""Putting objects into a running network to see what its stages spend."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from os import urandom

from greenray.capacity.environment import describe_environment
from greenray.capacity.stage_costs import Spell, spell_during, stage_costs
from greenray.capacity.tables import StageTable

Put = Callable[[bytes, str], object]
"""Stores a payload under a name, and returns when it is sealed."""

_LARGE_OBJECTS = 2
_IDLE_S = 1.0


def measure_stages(
    pid: int, put: Put, *, large_bytes: int, small_bytes: int, small_objects: int
) -> StageTable:
    """Costs of the stages of the network that the process ``pid`` runs.

    A large object more is put before, as a warm-up. All go into a bucket of their own.
    """
    bucket_name = f"stage-costs-{urandom(4).hex()}"
    payload = urandom(large_bytes)
    put(payload, f"{bucket_name}/warm-up")
    large = {f"{bucket_name}/large-{i}": payload for i in range(_LARGE_OBJECTS)}
    small = {f"{bucket_name}/small-{i}": urandom(small_bytes) for i in range(small_objects)}
    idle = spell_during(pid, partial(time.sleep, _IDLE_S), 0, 0)
    stages = stage_costs(idle, _spell(pid, large, put), _spell(pid, small, put))
    environment = describe_environment({})
    return StageTable(
        stages,
        f"{environment['processor']}, {environment['cores']} cores, {environment['measured_at']}",
    )


def _spell(pid: int, payloads: Mapping[str, bytes], put: Put) -> Spell:
    """Of putting them one after the other."""

    def put_all() -> None:
        for name, payload in payloads.items():
            put(payload, name)

    return spell_during(pid, put_all, len(payloads), sum(map(len, payloads.values())))
