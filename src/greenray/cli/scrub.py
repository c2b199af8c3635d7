"""``greenray scrub``: what is stored, compared with the chain, for who runs the network."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from greenray.cli.options import DEFAULT_STATE_DIR, StateDirOption
from greenray.cli.output import (
    EXIT_ERROR,
    Json,
    byte_progress,
    command_app,
    note,
    parse_size,
    print_result,
    reporting_errors,
)
from greenray.display.units import format_size

if TYPE_CHECKING:
    from greenray.actors.ports import ScrubProgress
    from greenray.cluster.scrub import ScrubReport
    from greenray.protocol.scrub import Finding, ScrubOrder

app = command_app()

_AGE = re.compile(r"(\d{1,9})([smhd])", re.ASCII)
_AGE_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_since(text: str) -> datetime:
    """A time such as 2026-11-29 or 2026-11-29T13:00, local if it names no zone, or an age such as
    90m, 2h or 7d. Raises typer.BadParameter, which is wrong usage."""
    age = _AGE.fullmatch(text.strip())
    try:
        if age is not None:
            return datetime.now(UTC) - timedelta(**{_AGE_UNITS[age[2]]: int(age[1])})
        return datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is neither a time, such as 2026-11-29T13:00, nor an age, such as 7d"
        ) from None


@app.command()
def scrub(
    name: Annotated[
        str | None, typer.Argument(metavar="[BUCKET[/OBJECT]]", help="Only this; else everything.")
    ] = None,
    repair: Annotated[bool, typer.Option("--repair", help="Mend what can be mended.")] = False,
    since: Annotated[
        datetime | None,
        typer.Option(
            "--since",
            parser=parse_since,
            metavar="TIME",
            help="Only objects created then or later: a time, or an age such as 90m, 2h or 7d.",
        ),
    ] = None,
    bandwidth_bytes_s: Annotated[
        int,
        typer.Option(
            "--bandwidth",
            parser=parse_size,
            metavar="SIZE",
            help="At most so many bytes per second and node; 0: no limit.",
        ),
    ] = 0,
    known: Annotated[
        bool,
        typer.Option(
            "--known", help="Read nothing; show what scrubs have found, the background's too."
        ),
    ] = False,
    state_dir: StateDirOption = DEFAULT_STATE_DIR,
    as_json: Json = False,
) -> None:
    """Read all columns of the running network's SPs, and compare them with the chain.

    Exit code 1 when something is left broken. A scrub that is broken off with Ctrl-C ends; when the
    network ends, it goes on with the next greenray up.
    """
    if known and (name or repair or since or bandwidth_bytes_s):
        raise typer.BadParameter("--known reads nothing and stands alone")
    with reporting_errors(as_json):
        from greenray.cluster.scrub import scrub_order

        order = scrub_order(name, repair, since, bandwidth_bytes_s)
        report = asyncio.run(_known(state_dir) if known else _run(order, state_dir))
        print_result(report.to_json(), _text(report, known), as_json)
    if report.broken:
        raise typer.Exit(EXIT_ERROR)


async def _run(order: ScrubOrder, state_dir: Path) -> ScrubReport:
    from greenray.client.network_health import answering_network
    from greenray.cluster.scrub import attached_scrub

    scrub = attached_scrub(await answering_network(state_dir))
    with byte_progress("scrub", None) as show:
        return await scrub.run(order, _shower(show))


async def _known(state_dir: Path) -> ScrubReport:
    from greenray.client.network_health import answering_network
    from greenray.cluster.scrub import attached_scrub

    return await attached_scrub(await answering_network(state_dir)).known()


def _shower(show: Callable[[int], None]) -> Callable[[Sequence[ScrubProgress]], None]:
    """Shows bytes, and says once what a scrub waits for."""
    said: set[str] = set()

    def shower(progress: Sequence[ScrubProgress]) -> None:
        show(sum(each.run.counts.size_bytes for each in progress))
        for waits_for in {each.waits_for for each in progress} - said - {""}:
            said.add(waits_for)
            note(f"waits for {waits_for}")

    return shower


def _text(report: ScrubReport, known: bool) -> str:
    lines = [_line(finding) for finding in report.findings]
    broken, repaired, orphans = len(report.broken), len(report.repaired), len(report.orphans)
    counts = f"{broken} broken, {repaired} repaired, {orphans} orphans"
    if known:
        return "\n".join([*lines, f"known of: {counts}"])
    done = report.counts
    read = f"{done.columns} columns, {format_size(done.size_bytes)} in {report.seconds:.1f} s"
    alone = f", {done.left_alone} objects not sealed" if done.left_alone else ""
    return "\n".join([*lines, f"{read}: {counts}{alone}"])


def _line(finding: Finding) -> str:
    damages = "; ".join(damage.text for damage in finding.damages)
    why = f" ({finding.reason})" if finding.reason else ""
    name = finding.name or f"object {finding.object_id}"
    return (
        f"{finding.state.value:8}  {name}  index {finding.redundancy_index} at "
        f"{finding.sp_address}  {damages}{why}"
    )
