"""``greenray index``: the buckets and objects that gateways list."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from greenray.cli.options import DEFAULT_STATE_DIR, StateDirOption
from greenray.cli.output import Json, command_app, print_result, reporting_errors

if TYPE_CHECKING:
    from greenray.actors.ports import IndexReport

app = command_app(help="Make the index anew that buckets and objects are listed from.")


@app.callback()
def index() -> None:
    """Make the index anew that buckets and objects are listed from."""


@app.command()
def rebuild(state_dir: StateDirOption = DEFAULT_STATE_DIR, as_json: Json = False) -> None:
    """Ask the chain of the running network for all buckets and objects, and list those. Until it
    is done, lists are answered as before. Nothing else needs it: an index that is missing, or that
    lacks blocks, is made by itself."""
    with reporting_errors(as_json):
        report = asyncio.run(_rebuild(state_dir))
        text = (
            f"the index was made at height {report.height}: {report.buckets} buckets, "
            f"{report.objects} objects"
        )
        print_result(report.to_json(), text, as_json)


async def _rebuild(state_dir: Path) -> IndexReport:
    from greenray.client.network_health import answering_network
    from greenray.cluster.space import attached_collector

    network = await answering_network(state_dir)
    return await attached_collector(network).rebuild_index()
