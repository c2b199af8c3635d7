"""``greenray bundle ls``: what is in a bundle."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from greenray.cli.options import with_access
from greenray.cli.output import Json, command_app, print_result, reporting_errors
from greenray.client.access import Access
from greenray.display.units import format_size
from greenray.protocol.foreign_text import printable

if TYPE_CHECKING:
    from greenray.protocol.bundle import BundleEntry

app = command_app()


@app.callback()
def bundle() -> None:
    """Bundles: many small files in one object. 'put --bundle' makes them, and
    'get BUCKET/OBJECT//ENTRY' reads of them."""


@app.command("ls")
@with_access
def list_entries(
    name: Annotated[
        str,
        typer.Argument(
            metavar="BUCKET/OBJECT", help="With //PREFIX only entries whose names begin so."
        ),
    ],
    *,
    access: Access,
    as_json: Json = False,
) -> None:
    """List the entries of a bundle with their sizes; only its index is read."""
    from greenray.client.bundle_reading import open_bundle
    from greenray.client.user import open_access, split_name
    from greenray.protocol.bundle_plan import split_entry

    bundle_name, prefix = split_entry(name) or (name, "")

    async def run() -> list[BundleEntry]:
        bucket_name, object_name = split_name(bundle_name)
        async with open_access(access) as client:
            opened = await open_bundle(client, bucket_name, object_name)
            entries = (await opened.entries()).values()
            return [entry for entry in entries if entry.name.startswith(prefix)]

    with reporting_errors(as_json):
        entries = asyncio.run(run())
        document = {"bundle": bundle_name, "entries": [_document(entry) for entry in entries]}
        print_result(document, "\n".join(_lines(entries)), as_json)


def _lines(entries: Sequence[BundleEntry]) -> Iterator[str]:
    for entry in entries:
        yield f"{format_size(entry.size_bytes):>10}  {printable(entry.name)}"
    total = format_size(sum(entry.size_bytes for entry in entries))
    yield f"{total:>10}  in {len(entries)} entries"


def _document(entry: BundleEntry) -> dict[str, object]:
    return {
        "entry": entry.name,
        "offset": entry.offset,
        "size_bytes": entry.size_bytes,
        "sha256": entry.sha256.hex() if entry.sha256 else None,
        "content_type": entry.content_type,
        "tags": dict(entry.tags),
    }
