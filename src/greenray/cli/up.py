"""``greenray up``."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from greenray.cli.options import (
    ChainEndpointOption,
    ConfigOption,
    KeysOption,
    SpsOption,
    chain_overrides,
)
from greenray.cli.output import EXIT_ERROR, Json, command_app, note, print_result, reporting_errors

if TYPE_CHECKING:
    from greenray.client.network_file import NetworkFile
    from greenray.client.network_health import NetworkHealth
    from greenray.cluster.config.settings import Settings

app = command_app()

_SAY_EVERY_S = 15.0


@app.command()
def up(
    sps: SpsOption = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return when it is up; stop it with 'down'.")
    ] = False,
    state_dir: Annotated[Path | None, typer.Option("--state-dir")] = None,
    config: ConfigOption = None,
    address: Annotated[
        str | None,
        typer.Option(
            "--address", help="Attach to a running Ray cluster: 'auto' or HOST:PORT of its head."
        ),
    ] = None,
    allow_open_cluster: Annotated[
        bool,
        typer.Option(
            "--allow-open-cluster", help="Attach also to one that asks nobody for a token."
        ),
    ] = False,
    chain_endpoint: ChainEndpointOption = None,
    keys: KeysOption = None,
    new_journal: Annotated[
        bool,
        typer.Option(
            "--new-journal",
            help="Begin a journal where it was lost: jobs and checksums of all objects are gone.",
        ),
    ] = False,
    accept_rollback: Annotated[
        bool,
        typer.Option(
            "--accept-rollback",
            help="Go on with a chain that was put back to an older copy; later blocks are lost.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Start the local network (or what greenray.yaml describes) and go on with unfinished jobs."""
    from greenray.cluster.config.private_files import PRIVATE_UMASK
    from greenray.cluster.config.settings_loading import load_settings

    os.umask(PRIVATE_UMASK)
    with reporting_errors(as_json):
        settings = load_settings(
            config,
            sps=sps,
            state_dir=state_dir,
            address=address,
            allow_open_cluster=allow_open_cluster or None,
            chain=chain_overrides(chain_endpoint, keys),
        )
        if detach:
            _detached(settings, as_json)
        else:
            run = _until_stopped(
                settings,
                new_journal=new_journal,
                accept_rollback=accept_rollback,
                as_json=as_json,
            )
            _ending_with_its_cause(run)


def _ending_with_its_cause(run: Coroutine[Any, Any, None]) -> None:
    """Once the network was up, its document is on stdout, and the reason why it ended by itself
    goes to stderr alone."""
    from greenray.protocol.errors import ClusterLost, NetworkFailed, StateLost

    try:
        asyncio.run(run)
    except (ClusterLost, NetworkFailed, StateLost) as error:
        note(f"error: {' '.join(str(error).split())}")
        raise typer.Exit(EXIT_ERROR) from None


async def _until_stopped(
    settings: Settings, *, new_journal: bool, accept_rollback: bool, as_json: bool
) -> None:
    from greenray.cluster.network import LocalNetwork

    network = LocalNetwork(settings, new_journal=new_journal, accept_rollback=accept_rollback)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    starting = asyncio.create_task(network.start())

    def stop() -> None:
        if not stopped.is_set():  # a second signal must not cut the stopping short
            stopped.set()
            starting.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        found = await starting
    except asyncio.CancelledError:
        note("stopped while starting")
        raise typer.Exit(1) from None
    failing = asyncio.create_task(network.failed())
    stopping = asyncio.create_task(stopped.wait())
    try:
        _announce(found, await network.health(), as_json)
        await asyncio.wait([failing, stopping], return_when=asyncio.FIRST_COMPLETED)
    finally:
        note("stopping")
        await network.stop()
    if not stopped.is_set():
        raise failing.result()


def _announce(network: NetworkFile, health: NetworkHealth, as_json: bool) -> None:
    from greenray.client.network_health import status_document

    lines = [f"chain {network.chain_id} at {network.chain_endpoint}"]
    lines += [f"storage provider {g.operator_address} at {g.endpoint}" for g in network.gateways]
    lines += [f"logs in {network.logs}"]
    print_result(status_document(network, health), "\n".join(lines), as_json)
    sys.stdout.flush()


def _detached(settings: Settings, as_json: bool) -> None:
    """The same command in a session of its own; its one JSON document tells how it went."""
    from greenray.cluster.config.state_dir import StateDir

    state = StateDir(settings.state_dir)
    arguments = [argument for argument in sys.argv[1:] if argument not in ("--detach", "--json")]
    command = [sys.executable, "-P", "-m", "greenray", *arguments, "--json"]
    with state.open_file(state.log_dir / "up.log") as log:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            text=True,
        )
    assert child.stdout is not None
    note(f"starting as process {child.pid}, its log is {state.log_dir / 'up.log'}")
    began_at = time.monotonic()
    while not select.select([child.stdout], [], [], _SAY_EVERY_S)[0]:
        note(f"still starting, after {time.monotonic() - began_at:.0f} s")
    line = child.stdout.readline()
    if not line:
        note(f"error: the network did not start, see {state.log_dir / 'up.log'}")
        raise typer.Exit(1)
    document: dict[str, Any] = json.loads(line)
    if "error" in document:
        typer.echo(line.strip()) if as_json else None
        note(f"error: {document['error']['message']}")
        raise typer.Exit(1)
    text = (
        f"up as process {document['pid']}, logs in {document['logs']}; stop it with: greenray down"
    )
    print_result(document, text, as_json)
