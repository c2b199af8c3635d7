"""``greenray put --bundle``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from greenray.cli.output import EXIT_ERROR, print_result, reporting_errors
from greenray.cli.transfer import transfer_display
from greenray.client.access import Access
from greenray.client.bundle_put import BundleOptions, StoredBundle, StoredVolume
from greenray.client.bundle_put import put_bundle as put
from greenray.client.creation import PutOptions
from greenray.client.storage_client import WaitFor
from greenray.client.user import open_access, split_name
from greenray.display.units import format_size
from greenray.protocol.objects import RedundancyType


@dataclass(frozen=True, slots=True)
class BundleOrder:
    """What was given on the command line."""

    paths: Sequence[Path]
    name: str
    wait: WaitFor
    redundancy: RedundancyType
    skip_unreadable: bool
    spool_dir: Path | None


def put_bundle(order: BundleOrder, access: Access, as_json: bool) -> None:
    """Exit code 1 when something was left out."""
    options = BundleOptions(
        spool_dir=order.spool_dir,
        skip_unreadable=order.skip_unreadable,
        put=PutOptions(redundancy_type=order.redundancy),
    )

    async def run() -> StoredBundle:
        bucket_name, object_name = split_name(order.name)
        async with open_access(access) as client:
            with transfer_display() as display:
                return await put(
                    client,
                    order.paths,
                    bucket_name,
                    object_name,
                    wait=order.wait,
                    on_progress=display.show,
                    on_setback=lambda setback: display.note(f"{order.name}: {setback}"),
                    on_failure=lambda failure: display.note(f"not bundled: {failure}"),
                    on_volume=lambda volume: display.note(_line(volume)),
                    options=options,
                )

    with reporting_errors(as_json):
        stored = asyncio.run(run())
    left_out = f", {len(stored.left_out)} left out" if stored.left_out else ""
    objects = "1 object" if len(stored.volumes) == 1 else f"{len(stored.volumes)} objects"
    text = (
        f"{stored.name}: {stored.entries} entries of {format_size(stored.payload_bytes)} in "
        f"{objects}{left_out}"
    )
    print_result(_document(stored), text, as_json)
    if stored.left_out:
        raise typer.Exit(EXIT_ERROR)


def _line(volume: StoredVolume) -> str:
    """What an interrupted command has done until then."""
    seal = volume.status["seal_tx_hash"]
    how = "was there" if volume.was_there else volume.status["state"]
    return (
        f"{volume.object_info.name}: {volume.entries} entries, "
        f"{format_size(volume.object_info.payload_size)}, object {volume.object_info.id}, {how}"
        + (f", sealed by {seal}" if seal else "")
    )


def _document(stored: StoredBundle) -> dict[str, Any]:
    return {
        "bundle": stored.name,
        "entries": stored.entries,
        "payload_size_bytes": stored.payload_bytes,
        "objects": [
            {
                **volume.status,
                "entries": volume.entries,
                "object_size_bytes": volume.object_info.payload_size,
                "was_there": volume.was_there,
            }
            for volume in stored.volumes
        ],
        "left_out": [
            {"entry": failure.name, "reason": failure.error.reason, "message": str(failure.error)}
            for failure in stored.left_out
        ],
    }
