"""``greenray collect``: remove now what the chain has no more."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from greenray.cli.options import DEFAULT_STATE_DIR, StateDirOption
from greenray.cli.output import Json, command_app, print_result, reporting_errors
from greenray.display.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from greenray.actors.ports import CollectionReport

app = command_app()


@app.command()
def collect(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be removed.")
    ] = False,
    state_dir: StateDirOption = DEFAULT_STATE_DIR,
    as_json: Json = False,
) -> None:
    """Compare all that the running network has stored with the chain, and remove what has not been
    needed for collector.delay_s; what is younger waits, and is listed."""
    with reporting_errors(as_json):
        report = asyncio.run(_collect(state_dir, dry_run))
        print_result(report.to_json(), "\n".join(_lines(report)), as_json)


async def _collect(state_dir: Path, dry_run: bool) -> CollectionReport:
    from greenray.client.network_health import answering_network
    from greenray.cluster.space import attached_collector

    network = await answering_network(state_dir)
    return await attached_collector(network).collect(dry_run=dry_run)


def _lines(report: CollectionReport) -> Iterator[str]:
    for collected in report.collected:
        yield f"  {collected}"
    done = "would be removed" if report.dry_run else "removed"
    yield f"{done}: {len(report.collected)} items, {format_size(report.size_bytes)}"
    for waiting in report.waiting:
        one = waiting.collectable
        where = f", index {one.redundancy_index} at {one.sp_address}" if one.sp_address else ""
        yield (
            f"  object {one.object_id}{where}: {one.cause.value}, due in {waiting.due_in_s:.0f} s"
        )
    yield f"waiting: {len(report.waiting)}"
