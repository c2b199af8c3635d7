"""How much Ray's object stores have written to disk because they were full."""

from __future__ import annotations

from typing import Any

import ray
from ray._private import internal_api


def spilled_bytes() -> int:
    """Since the start of the runtime that this process is connected to, over all its nodes.

    Ray has no public call for it; this is what ``ray memory --stats-only`` shows.
    """
    untyped: Any = internal_api
    state = untyped.get_state_from_address(ray.get_runtime_context().gcs_address)
    return int(untyped.get_memory_info_reply(state).store_stats.spilled_bytes_total)
