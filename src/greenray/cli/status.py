"""``greenray status``."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any

import typer

from greenray.cli.options import with_access
from greenray.cli.output import EXIT_ERROR, Json, command_app, note, print_result, reporting_errors
from greenray.client.access import Access

app = command_app()

SEALED = "SEAL_OBJECT_DONE"
_WATCH_INTERVAL_S = 0.5
_WIDTH = 120
"""Where there is no terminal."""


@app.command()
@with_access
def status(
    name: Annotated[str | None, typer.Argument(metavar="[BUCKET/OBJECT]")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Until it is sealed or given up.")] = False,
    timeline: Annotated[
        bool,
        typer.Option("--timeline", help="When each batch was received, hashed, sent, stored, ..."),
    ] = False,
    perfetto: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write the timeline as a trace that ui.perfetto.dev opens."
        ),
    ] = None,
    *,
    access: Access,
    as_json: Json = False,
) -> None:
    """The state of an object's job, or of the network when no object is named.

    Of a network: running, degraded (what), or not answering; the exit code is 0 when it is running.
    """
    with reporting_errors(as_json):
        if name is None:
            if timeline or perfetto:
                raise typer.BadParameter("a timeline is of one object: name BUCKET/OBJECT")
            _network_status(access, as_json)
            return
        document = asyncio.run(_object_status(name, watch, access))
        if timeline or perfetto:
            shown = asyncio.run(_object_timeline(name, access))
            print_result(shown, _timeline_text(shown, perfetto), as_json)
        else:
            print_result(document, describe(document), as_json)
        if watch and document["state"] != SEALED:
            raise typer.Exit(EXIT_ERROR)


async def _object_status(name: str, watch: bool, access: Access) -> dict[str, Any]:
    from greenray.client.network_file import read_network
    from greenray.client.network_health import answered
    from greenray.client.setbacks import Setbacks
    from greenray.client.storage_client import ClientSettings
    from greenray.client.user import open_access, split_name
    from greenray.protocol.errors import GreenrayError

    bucket, object_name = split_name(name)
    network = None if access.chain else read_network(access.state_dir)
    async with open_access(access) as client:
        shown, setbacks, answered_at = "", Setbacks(), time.monotonic()
        while True:
            try:
                document = dict(await answered(client.status(bucket, object_name), network, name))
            except GreenrayError as error:
                is_away = time.monotonic() - answered_at > ClientSettings().outage_s
                if not watch or not error.retryable or is_away:
                    raise
                await asyncio.sleep(_WATCH_INTERVAL_S)
                continue
            answered_at = time.monotonic()
            if not watch or document["final"]:
                return document
            for setback in setbacks.new_in(document):
                note(f"{name}: {setback}")
            if document["state"] != shown:
                shown = document["state"]
                note(f"{name}: {shown}")
            await asyncio.sleep(_WATCH_INTERVAL_S)


async def _object_timeline(name: str, access: Access) -> dict[str, Any]:
    from greenray.client.user import open_access, split_name

    async with open_access(access) as client:
        return dict(await client.timeline(*split_name(name)))


def _timeline_text(document: Mapping[str, Any], perfetto: Path | None) -> str:
    """The picture; the trace is written to the file ``perfetto`` before."""
    from greenray.timeline.perfetto import write_perfetto
    from greenray.timeline.picture import picture
    from greenray.timeline.values import Timeline

    shown = Timeline.from_json(document)
    if perfetto is not None:
        write_perfetto(shown, perfetto)
        note(f"written: {perfetto}, to be opened at https://ui.perfetto.dev")
    return picture(shown, shutil.get_terminal_size((_WIDTH, 0)).columns)


def _network_status(access: Access, as_json: bool) -> None:
    from greenray.client.network_file import read_network
    from greenray.client.network_health import NetworkState, ask_health, status_document

    if access.chain:
        raise typer.BadParameter(
            "name BUCKET/OBJECT: a network on another machine does not tell how it is"
        )
    network = read_network(access.state_dir)
    health = asyncio.run(ask_health(network))
    lines = [
        f"{health} as process {network.pid}, chain {network.chain_id} at {network.chain_endpoint}"
    ]
    several = len({g.uploader for g in network.gateways}) > 1
    lines += [
        f"  {g.operator_address}  {g.endpoint}{f'  {g.uploader}' if several else ''}"
        for g in network.gateways
    ]
    lines += [f"  {account}" for account in network.low_seal_accounts]
    lines.append(f"  logs in {network.logs}")
    if network.ray_logs:
        lines.append(f"  Ray's own in {network.ray_logs}")
    print_result(status_document(network, health), "\n".join(lines), as_json)
    if health.state is not NetworkState.RUNNING:
        raise typer.Exit(EXIT_ERROR)


def describe(document: Mapping[str, Any]) -> str:
    """For people: the state, how long each state took, who holds what and why others do not."""
    lines = [
        f"{document['bucket']}/{document['object']}: {document['state']} "
        f"({document['state_number']}), object {document['object_id']}"
    ]
    history = document["history"]
    for entry, following in zip_longest(history, history[1:]):
        end = following["at"] if following else time.time()
        last = following is None and document["final"]
        took = "" if last else f"{end - entry['at']:9.3f} s"
        lines.append(f"  {entry['state']:24}{took}")
    for secondary in document["secondaries"]:
        lines.append(
            f"  secondary {secondary['redundancy_index']}  {secondary['operator_address']}  "
            f"{secondary['integrity_hash']}"
        )
    for replaced in document["replaced"]:
        lines.append(
            f"  replaced at {replaced['redundancy_index']}: {replaced['operator_address']}, "
            f"{replaced['reason']}: {replaced['message']}"
        )
    if document["seal_tx_hash"]:
        height = document["seal_height"]
        where = f" in block {height}" if height else ""
        lines.append(f"  seal transaction {document['seal_tx_hash']}{where}")
    if document["attempt"]:
        lines.append(f"  retries: {document['attempt']}")
    if document["error"]:
        lines.append(f"  {document['error']['reason']}: {document['error']['message']}")
    if document["final"] and not document["sealed"]:
        lines.append("  it has ended, and is not tried again")
    return "\n".join(lines)
