"""``greenray get``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from greenray.cli.as_user import DryRun, Quiet, as_user
from greenray.cli.options import with_access
from greenray.cli.output import Json, command_app, print_result, reporting_errors
from greenray.client.access import Access
from greenray.display.units import format_size

if TYPE_CHECKING:
    from greenray.client.download_sources import DownloadSources
    from greenray.client.storage_client import StorageClient
    from greenray.protocol.objects import ObjectInfo

app = command_app()

_STDOUT = "-"


@dataclass(frozen=True, slots=True)
class GetOrder:
    """What was given on the command line."""

    name: str
    target: str
    recursive: bool = False
    no_clobber: bool = False
    dry_run: bool = False
    quiet: bool = False


@app.command()
@with_access
def get(
    name: Annotated[
        str,
        typer.Argument(
            metavar="BUCKET/OBJECT",
            help="An object, or a pattern in quotes. Of a bundle's entries BUCKET/OBJECT//ENTRY, "
            "or //FOLDER/.",
        ),
    ],
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE]",
            help="Where to put it: a file, a directory (one that is there, or a name with a slash "
            "at its end), - for stdout; appears only complete. Of entries, this directory if none "
            "is named.",
        ),
    ] = None,
    byte_range: Annotated[
        str | None,
        typer.Option("--range", metavar="FIRST-LAST", help="Only these bytes of an entry, from 0."),
    ] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="All objects of BUCKET or BUCKET/PREFIX/.")
    ] = False,
    no_clobber: Annotated[
        bool, typer.Option("--no-clobber", "-n", help="Leave files that are there as they are.")
    ] = False,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    *,
    access: Access,
    as_json: Json = False,
) -> None:
    """Read a sealed object back, verified against the chain's checksums. A file that is there is
    replaced, once the new one is whole.

    Of a bundle also one entry or a folder, verified against the bundle's index, or all of it (//),
    verified against the chain.

    Example: greenray get photos/cat.jpg .
    """
    from greenray.client.user import SCHEME
    from greenray.protocol.bundle_plan import split_entry

    if (entry := split_entry(name.removeprefix(SCHEME))) is not None:
        from greenray.cli.get_entries import get_entries

        get_entries(*entry, Path(file or "."), byte_range, access, as_json)
        return
    if byte_range is not None:
        raise typer.BadParameter("--range goes with an entry of a bundle: BUCKET/OBJECT//ENTRY")
    if file is None:
        raise typer.BadParameter("name the file, or the directory, where it is to be put")
    run_get(GetOrder(name, file, recursive, no_clobber, dry_run, quiet), access, as_json=as_json)


def run_get(order: GetOrder, access: Access, *, as_json: bool) -> None:
    from greenray.client.object_selection import Selection

    with reporting_errors(as_json):
        selection = Selection.parse(order.name, recursive=order.recursive)
    if selection is not None:
        from greenray.cli.get_many import get_many

        if order.target == _STDOUT:
            raise typer.BadParameter("several objects do not go to stdout: greenray cat does that")
        get_many(order, selection, access, as_json=as_json)
    elif order.target == _STDOUT:
        _to_stdout(order, access, as_json=as_json)
    else:
        _to_file(order, access, as_json=as_json)


def _to_stdout(order: GetOrder, access: Access, *, as_json: bool) -> None:
    from greenray.cli.get_to_stdout import get_to_stdout

    if as_json or order.dry_run:
        raise typer.BadParameter("stdout takes the object, or a document: name a file")

    async def work(client: StorageClient) -> ObjectInfo:
        return await get_to_stdout(client, order.name, quiet=order.quiet)

    as_user(access, as_json, work)


def _to_file(order: GetOrder, access: Access, *, as_json: bool) -> None:
    from greenray.cli.transfer import transfer_display
    from greenray.client.payload_io import download_target
    from greenray.client.user import split_name

    told: list[DownloadSources] = []
    with reporting_errors(as_json):
        bucket, object_name = split_name(order.name)
        target = download_target(_made(order), object_name)
    if order.no_clobber and os.path.lexists(target):
        document = {"bucket": bucket, "object": object_name, "file": str(target), "skipped": True}
        if as_json or not order.quiet:
            print_result(document, f"{target}: is there, and stays as it is", as_json)
        return

    async def work(client: StorageClient) -> ObjectInfo:
        if order.dry_run:
            return await client.head_object(bucket, object_name)
        with transfer_display(quiet=order.quiet) as display:
            return await client.get(
                bucket,
                object_name,
                target,
                on_progress=display.show,
                on_sources=told.append,
                replacing=not order.no_clobber,
            )

    kept = "from 8 MiB on what came is kept beside it: get it again to go on from there"
    info = as_user(access, as_json, work, lambda: f"{target} was not written; {kept}")
    document = download_document(info, target) | {
        "sources": told[0].to_json() if told else None,
    }
    text = f"{target}: {format_size(info.payload_size)} of {info.name}, verified"
    if told and told[0].rebuilt_bytes:
        text += f"; {format_size(told[0].rebuilt_bytes)} rebuilt from secondaries"
    if order.dry_run:
        document["dry_run"] = True
        text = f"would get {info.name} ({format_size(info.payload_size)}) as {target}"
    if as_json or not order.quiet:
        print_result(document, text, as_json)


def download_document(info: ObjectInfo, target: Path) -> dict[str, Any]:
    return {
        "bucket": info.bucket_name,
        "object": info.object_name,
        "object_id": info.id,
        "payload_size_bytes": info.payload_size,
        "integrity_hash": info.checksums[0].hex(),
        "file": str(target),
    }


def _made(order: GetOrder) -> Path:
    """The target; a name with a slash at its end is a directory, which is made. Raises
    UnreadableFile."""
    from greenray.protocol.errors import UnreadableFile

    target = Path(order.target)
    if order.target.endswith("/") and not order.dry_run:
        try:
            target.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UnreadableFile(
                f"the directory cannot be made ({error.strerror})",
                str(target),
                "Name one that can be written.",
            ) from error
    return target
