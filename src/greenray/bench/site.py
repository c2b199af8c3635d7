"""A network to measure, on the disk to measure: what ``gateway``, ``small`` and ``pipeline`` share,
so that ``all`` can start one for the three."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from greenray.bench.measured_network import MeasuredNetwork, started_network
from greenray.bench.runner import OnStep
from greenray.bench.work_dir import file_system_of, work_dir
from greenray.cluster.config.settings import Settings
from greenray.storage.direct_io import probe_direct_io

SPARE_BYTES = 1 << 30
STORED_PER_BYTE = 2.5
"""Segments and EC pieces of 4+2."""


@dataclass(frozen=True, slots=True)
class Site:
    """``root``: a directory that is removed in the end."""

    settings: Settings
    network: MeasuredNetwork
    root: Path

    def describe(self) -> dict[str, Any]:
        """Settings of the network, and how it writes."""
        settings = self.settings
        return {
            "sps": settings.sps,
            "durable": settings.durable,
            "pieces": settings.pieces.scheme,
            "codec": settings.codec,
            "batch_segments": settings.batch_segments,
            "receivers": settings.replication.receivers,
            "memory_budget_bytes": settings.budget.memory_bytes,
            "object_store_bytes": settings.budget.object_store_bytes,
            "block_interval_s": settings.chain.block_interval_s,
            "writes": describe_writes(self.root, settings.durable),
        }


def describe_writes(root: Path, durable: bool) -> dict[str, Any]:
    return {
        "file_system": file_system_of(root),
        "durable": durable,
        "past_the_page_cache": probe_direct_io(root) is not None,
        "files": "new ones in every repeat, one per column, on all sides",
        "warm_up": "one uncounted run of each side, in the same processes",
    }


@contextmanager
def opened_site(
    settings: Settings, parent: Path, needed_bytes: int, on_step: OnStep
) -> Iterator[Site]:
    """Raises NoSpaceLeft, StoreError, and what stops the network."""
    with work_dir(parent, needed_bytes + SPARE_BYTES) as root:
        on_step("starting the network")
        with started_network(settings, root) as network:
            yield Site(settings, network, root)
