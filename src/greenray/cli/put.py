"""``greenray put``: one file, or many as one act."""

from __future__ import annotations

import asyncio
import glob
import os
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from greenray.cli.as_user import DryRun, Quiet, as_user
from greenray.cli.options import with_access
from greenray.cli.output import Json, command_app, print_result, reporting_errors
from greenray.client.access import Access
from greenray.display.units import format_size

if TYPE_CHECKING:
    from greenray.client.creation import PutOptions
    from greenray.client.payload_io import PayloadFile
    from greenray.client.progress import Activity, Progress
    from greenray.client.storage_client import PutResult, StorageClient, WaitFor

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
    public: Annotated[
        bool, typer.Option("--public", help="Let anybody read the new object.")
    ] = False,
    replace_created: Annotated[
        bool,
        typer.Option(
            "--replace-created",
            help="Cancel an object of this name that waits for another payload, then put.",
        ),
    ] = False,
    dry_run: DryRun = False,
    quiet: Quiet = False,
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
    """Store a file, or with - what comes by stdin, as BUCKET/OBJECT, and create both if they do not
    exist. A pipe and stdin are read whole first: in memory while it is little, then on disk.

    Many files: several, a pattern in quotes, --recursive DIRECTORY or --from-list. One that fails
    does not stop the others; it is named at the end, and the exit code is 1. Run again, only what
    is not sealed is done. With --json there is a line for each, and one that sums up.

    Example: greenray put --recursive holiday photos/2026
    """
    *sources, target = names
    if not sources and from_list is None:
        raise typer.BadParameter("name a file, and the BUCKET/OBJECT that it is to be")
    if bundle:
        _check_bundle_options(from_list, manifest, dry_run, replace_created)
    elif skip_unreadable or spool is not None:
        raise typer.BadParameter("--skip-unreadable and --spool go with --bundle")
    order = PutOrder(
        tuple(sources),
        target,
        recursive=recursive,
        from_list=from_list,
        manifest=manifest,
        wait=wait,
        replica=replica,
        public=public,
        replace_created=replace_created,
        dry_run=dry_run,
        quiet=quiet,
    )
    if bundle:
        from greenray.cli.put_bundle import BundleOrder, put_bundle

        files = [Path(source) for source in sources]
        bundled = BundleOrder(
            files, target, order.wait_for, order.options.redundancy_type, skip_unreadable, spool
        )
        put_bundle(bundled, access, as_json)
        return
    run_put(order, access, as_json=as_json)


def _check_bundle_options(
    from_list: str | None, manifest: Path | None, dry_run: bool, replace_created: bool
) -> None:
    if from_list is not None or manifest is not None:
        raise typer.BadParameter("--from-list and --manifest make no bundle")
    if dry_run or replace_created:
        raise typer.BadParameter("--dry-run and --replace-created do not go with --bundle")


@dataclass(frozen=True, slots=True)
class PutOrder:
    """What was given on the command line."""

    sources: tuple[str, ...]
    target: str
    recursive: bool = False
    from_list: str | None = None
    manifest: Path | None = None
    wait: str = "sealed"
    replica: bool = False
    public: bool = False
    replace_created: bool = False
    dry_run: bool = False
    quiet: bool = False

    @property
    def wait_for(self) -> WaitFor:
        """Raises typer.BadParameter."""
        from greenray.client.storage_client import WaitFor
        from greenray.protocol.errors import InvalidInput

        try:
            return WaitFor.parse(self.wait)
        except InvalidInput as error:
            raise typer.BadParameter(error.what) from error

    @property
    def options(self) -> PutOptions:
        from greenray.client.creation import PutOptions
        from greenray.protocol.objects import RedundancyType, Visibility

        return PutOptions(
            redundancy_type=RedundancyType.of(replica=self.replica),
            visibility=(
                Visibility.VISIBILITY_TYPE_PUBLIC_READ
                if self.public
                else Visibility.VISIBILITY_TYPE_INHERIT
            ),
            replace_created=self.replace_created,
        )

    @property
    def is_act(self) -> bool:
        """Whether many files are meant."""
        is_many = self.recursive or len(self.sources) > 1 or self.manifest is not None
        return is_many or self.from_list is not None or _is_pattern(self.sources[0])


def run_put(order: PutOrder, access: Access, *, as_json: bool) -> None:
    wait_for = order.wait_for
    if not order.is_act:
        _put_one(order, wait_for, access, as_json=as_json)
        return
    from greenray.cli.put_many import ManyPutOrder, put_many

    many = ManyPutOrder(
        order.sources,
        order.target,
        order.recursive,
        order.from_list,
        order.manifest,
        wait_for,
        order.options,
        dry_run=order.dry_run,
        quiet=order.quiet,
    )
    put_many(many, access, as_json=as_json)


def _is_pattern(source: str) -> bool:
    return glob.has_magic(source) and not os.path.lexists(source)


def _put_one(order: PutOrder, wait: WaitFor, access: Access, *, as_json: bool) -> None:
    from greenray.cli.transfer import transfer_display
    from greenray.client.user import split_name

    seen: dict[Activity, Progress] = {}

    async def work(client: StorageClient) -> PutResult:
        async with payload_of(order.sources[0], client) as payload:
            with transfer_display(quiet=order.quiet) as display:

                def on_progress(progress: Progress) -> None:
                    seen[progress.activity] = progress
                    display.show(progress)

                return await client.put(
                    payload,
                    *names,
                    wait=wait,
                    on_progress=on_progress,
                    on_setback=lambda setback: display.note(f"{order.target}: {setback}"),
                    options=order.options,
                )

    with reporting_errors(as_json):
        names = split_name(order.target)
        if order.dry_run:
            _say_dry_run(order, as_json)
            return
    result = as_user(access, as_json, work, lambda: how_to_go_on(order.target, seen))
    seconds = {f"{stage.value}_s": s for stage, s in result.seconds.items()}
    if as_json or not order.quiet:
        document = {**result.status, "stages": seconds}
        print_result(document, put_text(order.target, result), as_json)


def how_to_go_on(name: str, seen: Mapping[Activity, Progress]) -> str:
    """After a put was interrupted: whether the object exists, and what to do about it. ``seen``:
    how far each activity was."""
    from greenray.client.progress import Activity

    upload, creating = seen.get(Activity.UPLOAD), seen.get(Activity.CREATING)
    if upload is not None and upload.done == upload.total:
        return f"{name} is stored, and is sealed without this: greenray status {name} --watch"
    if upload is not None or (creating is not None and creating.done == creating.total):
        return (
            f"{name} exists on chain and waits for its payload. Put the same file again to go on, "
            f"or take it back: greenray cancel {name}"
        )
    if creating is not None:
        return f"{name} may exist on chain, without its payload: see greenray stat {name}"
    return f"nothing was created: {name} is put from the beginning"


def put_text(name: str, result: PutResult) -> str:
    text = (
        f"{name}: {format_size(result.object_info.payload_size)}, object "
        f"{result.object_info.id}, {result.status['state']}"
    )
    if result.status["seal_tx_hash"]:
        text += f", sealed by {result.status['seal_tx_hash']}"
    return text


@asynccontextmanager
async def payload_of(source: str, client: StorageClient) -> AsyncIterator[Path | PayloadFile]:
    """A file; or what a stream has, kept while it is put. Raises: what ``spooled`` raises."""
    from greenray.client.spool import is_stream, spooled

    if not is_stream(source):
        yield Path(source)
        return
    limit_bytes, stopped = await client.max_payload_bytes(), threading.Event()
    try:
        spool = await asyncio.to_thread(spooled, source, limit_bytes, stopped)
    finally:
        stopped.set()
    with spool:
        yield spool


def _say_dry_run(order: PutOrder, as_json: bool) -> None:
    """Raises UnreadableFile."""
    from greenray.client.payload_io import opened, size_of
    from greenray.client.spool import is_stream

    source = order.sources[0]
    size_bytes = None
    if not is_stream(source):
        with opened(Path(source)) as (file, _):
            size_bytes = size_of(file)
    size = "a stream" if size_bytes is None else format_size(size_bytes)
    document = {"source": source, "name": order.target, "size_bytes": size_bytes, "dry_run": True}
    print_result(document, f"would put {source} ({size}) as {order.target}", as_json)
