"""``greenray get``."""

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
def get(
    name: Annotated[str, typer.Argument(metavar="BUCKET/OBJECT")],
    file: Annotated[
        Path, typer.Argument(help="Where to put it, a file or a directory; appears only complete.")
    ],
    state_dir: StateDirOption = DEFAULT_STATE_DIR,
    key: KeyOption = None,
    gateway: GatewayOption = None,
    as_json: Json = False,
) -> None:
    """Read a sealed object back, verified against the chain's checksums."""
    from greenray.cli.transfer import transfer_display
    from greenray.client.download_sources import DownloadSources
    from greenray.client.network_file import read_network
    from greenray.client.payload_io import download_target
    from greenray.client.user import open_client, split_name
    from greenray.protocol.objects import ObjectInfo

    told: list[DownloadSources] = []

    async def run() -> ObjectInfo:
        bucket, object_name = split_name(name)
        async with open_client(read_network(state_dir), key, gateway) as client:
            with transfer_display() as display:
                return await client.get(
                    bucket,
                    object_name,
                    target,
                    on_progress=display.show,
                    on_sources=told.append,
                )

    with reporting_errors(as_json):
        target = download_target(file, split_name(name)[1])
        info = asyncio.run(run())
        document = {
            "bucket": info.bucket_name,
            "object": info.object_name,
            "object_id": info.id,
            "payload_size_bytes": info.payload_size,
            "integrity_hash": info.checksums[0].hex(),
            "file": str(target),
            "sources": told[0].to_json() if told else None,
        }
        text = f"{target}: {format_size(info.payload_size)} of {name}, verified"
        if told and told[0].rebuilt_bytes:
            text += f"; {format_size(told[0].rebuilt_bytes)} rebuilt from secondaries"
        print_result(document, text, as_json)
