"""``greenray du``: where the space of a network went."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from greenray.cli.as_user import Bytes, as_user, size_text
from greenray.cli.options import ConfigOption, with_access
from greenray.cli.output import Json, command_app, print_result, reporting_errors
from greenray.client.access import Access
from greenray.display.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from greenray.client.storage_client import StorageClient
    from greenray.protocol.space_usage import SpaceUsage, Usage

app = command_app()

_UNKNOWN = "(no job here)"


@app.command()
@with_access
def du(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[BUCKET[/PREFIX]]", help="Only what is in it."),
    ] = None,
    objects: Annotated[
        bool,
        typer.Option(
            "--objects",
            help="What users have stored, by the list of objects; meant as well where a PREFIX is "
            "named, or the network is not on this machine.",
        ),
    ] = False,
    config: ConfigOption = None,
    in_bytes: Bytes = False,
    *,
    access: Access,
    as_json: Json = False,
) -> None:
    """For operators: bytes on the disks of all hosted storage providers, by bucket and by provider,
    and what of it waits to be collected; the network may run or not. For users: how large the
    objects of BUCKET or below BUCKET/PREFIX are together.

    Example: greenray du photos/2026/
    """
    is_of_users = objects or access.chain != "" or (name is not None and "/" in name)
    if not is_of_users:
        with reporting_errors(as_json):
            _print_disks(name, access, config, as_json)
    elif name is None:
        raise typer.BadParameter("name BUCKET or BUCKET/PREFIX")
    else:
        _print_objects(name, access, in_bytes, as_json)


def _print_disks(bucket: str | None, access: Access, config: Path | None, as_json: bool) -> None:
    from greenray.client.network_file import read_network
    from greenray.cluster.config.settings_loading import load_settings
    from greenray.cluster.config.state_dir import StateDir
    from greenray.cluster.space import measure_space
    from greenray.protocol.errors import NotRunning

    state = StateDir(access.state_dir)
    try:
        pieces = read_network(access.state_dir).pieces
    except NotRunning:
        settings = load_settings(config)
        pieces = settings.pieces.location(state.pieces, settings.durable)
    usage = measure_space(state.job_store_file, pieces, bucket)
    print_result(usage.to_json(), "\n".join(_lines(usage)), as_json)


def _print_objects(name: str, access: Access, in_bytes: bool, as_json: bool) -> None:
    from greenray.client.object_selection import Selection, selected
    from greenray.client.user import split_place

    async def work(client: StorageClient) -> tuple[int, int]:
        count = size_bytes = 0
        async for info in selected(client, Selection(*split_place(name))):
            count += 1
            size_bytes += info.payload_size
        return count, size_bytes

    count, size_bytes = as_user(access, as_json, work)
    document = {"name": name, "objects": count, "size_bytes": size_bytes}
    text = f"{size_text(size_bytes, in_bytes):>10}  in {count} objects of {name}"
    print_result(document, text, as_json)


def _lines(usage: SpaceUsage) -> Iterator[str]:
    yield f"{'size':>10}  {'collectable':>11}  {'objects':>7}  {'columns':>7}"
    yield from _rows(usage.by_bucket)
    yield from _rows(usage.by_provider)
    yield _row("in all", usage.total)


def _rows(usages: Mapping[str, Usage]) -> Iterator[str]:
    for name, usage in usages.items():
        yield _row(name or _UNKNOWN, usage)


def _row(name: str, usage: Usage) -> str:
    collectable = format_size(usage.collectable_bytes) if usage.collectable_bytes else "-"
    return (
        f"{format_size(usage.size_bytes):>10}  {collectable:>11}  {usage.objects:7}  "
        f"{usage.columns:7}  {name}"
    )
