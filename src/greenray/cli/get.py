"""``greenray get``."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from greenray.cli.options import with_access
from greenray.cli.output import Json, command_app, print_result, reporting_errors
from greenray.client.access import Access
from greenray.display.units import format_size

app = command_app()


@app.command()
@with_access
def get(
    name: Annotated[
        str,
        typer.Argument(
            metavar="BUCKET/OBJECT",
            help="Of a bundle's entries BUCKET/OBJECT//ENTRY, or //FOLDER/.",
        ),
    ],
    file: Annotated[
        Path | None,
        typer.Argument(
            help="Where to put it, a file or a directory; appears only complete. Of entries, this "
            "directory if none is named."
        ),
    ] = None,
    byte_range: Annotated[
        str | None,
        typer.Option("--range", metavar="FIRST-LAST", help="Only these bytes of an entry, from 0."),
    ] = None,
    *,
    access: Access,
    as_json: Json = False,
) -> None:
    """Read a sealed object back, verified against the chain's checksums.

    Of a bundle also one entry or a folder, verified against the bundle's index, or all of it (//),
    verified against the chain.
    """
    from greenray.cli.get_entries import get_entries
    from greenray.cli.transfer import transfer_display
    from greenray.client.download_sources import DownloadSources
    from greenray.client.payload_io import download_target
    from greenray.client.user import open_access, split_name
    from greenray.protocol.bundle_plan import split_entry
    from greenray.protocol.objects import ObjectInfo

    if (entry := split_entry(name)) is not None:
        get_entries(*entry, file or Path(), byte_range, access, as_json)
        return
    if byte_range is not None:
        raise typer.BadParameter("--range goes with an entry of a bundle: BUCKET/OBJECT//ENTRY")
    if file is None:
        raise typer.BadParameter("name the file, or the directory, where it is to be put")

    told: list[DownloadSources] = []

    async def run() -> ObjectInfo:
        bucket, object_name = split_name(name)
        async with open_access(access) as client:
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
