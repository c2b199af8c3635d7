"""``greenray put``."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from greenray.cli.options import DEFAULT_STATE_DIR, GatewayOption, KeyOption, StateDirOption
from greenray.cli.output import Json, command_app, print_result, reporting_errors
from greenray.display.units import format_size

app = command_app()


@app.command()
def put(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE", help="The file to store; with --bundle files and directories."
        ),
    ],
    name: Annotated[str, typer.Argument(metavar="BUCKET/OBJECT")],
    wait: Annotated[str, typer.Option(help="Return when the object is 'sealed' or 'uploaded'.")] = (
        "sealed"
    ),
    replica: Annotated[
        bool, typer.Option("--replica", help="Whole copies instead of erasure coding.")
    ] = False,
    bundle: Annotated[
        bool, typer.Option("--bundle", help="Many small files as one object with an index.")
    ] = False,
    skip_unreadable: Annotated[
        bool,
        typer.Option(
            "--skip-unreadable", help="With --bundle: leave out what cannot be read, not all of it."
        ),
    ] = False,
    spool: Annotated[
        Path | None,
        typer.Option(help="With --bundle: where it is written first; else with temporary files."),
    ] = None,
    state_dir: StateDirOption = DEFAULT_STATE_DIR,
    key: KeyOption = None,
    gateway: GatewayOption = None,
    as_json: Json = False,
) -> None:
    """Store a file as BUCKET/OBJECT, and create both if they do not exist."""
    from greenray.cli.put_bundle import BundleOrder, put_bundle
    from greenray.cli.transfer import transfer_display
    from greenray.client.creation import PutOptions
    from greenray.client.network_file import read_network
    from greenray.client.storage_client import PutResult, WaitFor
    from greenray.client.user import open_client, split_name
    from greenray.protocol.objects import RedundancyType

    if wait not in [w.value for w in WaitFor]:
        raise typer.BadParameter(f"{wait!r} is neither 'sealed' nor 'uploaded'")
    redundancy = (
        RedundancyType.REDUNDANCY_REPLICA_TYPE if replica else RedundancyType.REDUNDANCY_EC_TYPE
    )

    if bundle:
        order = BundleOrder(files, name, WaitFor(wait), redundancy, skip_unreadable, spool)
        put_bundle(order, state_dir, key, gateway, as_json)
        return
    if skip_unreadable or spool is not None or len(files) != 1:
        raise typer.BadParameter("several files, --skip-unreadable and --spool go with --bundle")

    async def run() -> PutResult:
        bucket_name, object_name = split_name(name)
        async with open_client(read_network(state_dir), key, gateway) as client:
            with transfer_display() as display:
                return await client.put(
                    files[0],
                    bucket_name,
                    object_name,
                    wait=WaitFor(wait),
                    on_progress=display.show,
                    on_setback=lambda setback: display.note(f"{name}: {setback}"),
                    options=PutOptions(redundancy_type=redundancy),
                )

    with reporting_errors(as_json):
        result = asyncio.run(run())
        seconds = {f"{stage.value}_s": s for stage, s in result.seconds.items()}
        text = (
            f"{name}: {format_size(result.object_info.payload_size)}, object "
            f"{result.object_info.id}, {result.status['state']}"
        )
        if result.status["seal_tx_hash"]:
            text += f", sealed by {result.status['seal_tx_hash']}"
        print_result({**result.status, "stages": seconds}, text, as_json)
