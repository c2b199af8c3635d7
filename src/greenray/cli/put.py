"""``greenray put``: one file, or many as one act."""

from __future__ import annotations

import asyncio
import glob
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from greenray.cli.options import with_access
from greenray.cli.output import Json, command_app, print_result, reporting_errors
from greenray.client.access import Access
from greenray.display.units import format_size

if TYPE_CHECKING:
    from greenray.client.creation import PutOptions
    from greenray.client.storage_client import PutResult, WaitFor

app = command_app()


@app.command()
@with_access
def put(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE... BUCKET/OBJECT",
            help="The file to store and its name; or several files, directories or patterns, and "
            "BUCKET or BUCKET/PREFIX, below which each has its own name. With --bundle files and "
            "directories that become one object.",
        ),
    ],
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Put all files below a directory.")
    ] = False,
    from_list: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Put the files that it names, a line each; - is stdin."),
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Keep there what is sealed; run again, those files are not read again.",
        ),
    ] = None,
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
    *,
    access: Access,
    as_json: Json = False,
) -> None:
    """Store a file as BUCKET/OBJECT, and create both if they do not exist.

    Many files: several, a pattern in quotes, --recursive DIRECTORY or --from-list. One that fails
    does not stop the others; it is named at the end, and the exit code is 1. Run again, only what
    is not sealed is done. With --json there is a line for each, and one that sums up.
    """
    from greenray.client.creation import PutOptions
    from greenray.client.storage_client import WaitFor
    from greenray.protocol.errors import InvalidInput
    from greenray.protocol.objects import RedundancyType

    try:
        wait_for = WaitFor.parse(wait)
    except InvalidInput as error:
        raise typer.BadParameter(error.what) from error
    *sources, target = names
    if not sources and from_list is None:
        raise typer.BadParameter("name a file, and the BUCKET/OBJECT that it is to be")
    redundancy = RedundancyType.of(replica=replica)
    if bundle:
        from greenray.cli.put_bundle import BundleOrder, put_bundle

        if from_list is not None or manifest is not None:
            raise typer.BadParameter("--from-list and --manifest make no bundle")
        files = [Path(source) for source in sources]
        order = BundleOrder(files, target, wait_for, redundancy, skip_unreadable, spool)
        put_bundle(order, access, as_json)
        return
    if skip_unreadable or spool is not None:
        raise typer.BadParameter("--skip-unreadable and --spool go with --bundle")
    options = PutOptions(redundancy_type=redundancy)
    is_act = recursive or from_list is not None or manifest is not None or len(sources) > 1
    if not is_act and not _is_pattern(sources[0]):
        _put_one(
            Path(sources[0]),
            target,
            wait_for,
            options,
            access,
            as_json=as_json,
        )
        return
    from greenray.cli.put_many import ManyPutOrder, put_many

    put_many(
        ManyPutOrder(tuple(sources), target, recursive, from_list, manifest, wait_for, options),
        access,
        as_json=as_json,
    )


def _is_pattern(source: str) -> bool:
    return glob.has_magic(source) and not os.path.lexists(source)


def _put_one(
    file: Path,
    name: str,
    wait: WaitFor,
    options: PutOptions,
    access: Access,
    *,
    as_json: bool,
) -> None:
    from greenray.cli.transfer import transfer_display
    from greenray.client.user import open_access, split_name

    async def run() -> PutResult:
        bucket_name, object_name = split_name(name)
        async with open_access(access) as client:
            with transfer_display() as display:
                return await client.put(
                    file,
                    bucket_name,
                    object_name,
                    wait=wait,
                    on_progress=display.show,
                    on_setback=lambda setback: display.note(f"{name}: {setback}"),
                    options=options,
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
