"""``greenray du``: where the space of a network went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from greenray.cli.options import DEFAULT_STATE_DIR, ConfigOption, StateDirOption
from greenray.cli.output import Json, command_app, print_result, reporting_errors
from greenray.display.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from greenray.protocol.space_usage import SpaceUsage, Usage

app = command_app()

_UNKNOWN = "(no job here)"


@app.command()
def du(
    bucket: Annotated[
        str | None, typer.Argument(metavar="[BUCKET]", help="Only what is in this bucket.")
    ] = None,
    state_dir: StateDirOption = DEFAULT_STATE_DIR,
    config: ConfigOption = None,
    as_json: Json = False,
) -> None:
    """Bytes on the disks of all hosted storage providers, by bucket and by provider, and what of it
    waits to be collected; the network may run or not."""
    from greenray.client.network_file import read_network
    from greenray.cluster.config.settings_loading import load_settings
    from greenray.cluster.config.state_dir import StateDir
    from greenray.cluster.space import measure_space
    from greenray.protocol.errors import NotRunning

    with reporting_errors(as_json):
        state = StateDir(state_dir)
        try:
            pieces = read_network(state_dir).pieces
        except NotRunning:
            settings = load_settings(config)
            pieces = settings.pieces.location(state.pieces, settings.durable)
        usage = measure_space(state.job_store_file, pieces, bucket)
        print_result(usage.to_json(), "\n".join(_lines(usage)), as_json)


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
