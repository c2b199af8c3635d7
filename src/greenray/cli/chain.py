"""``greenray chain``: the embedded chain by itself, for development against its JSON-RPC."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from greenray.chain.dialects import DEFAULT_DIALECT, get_local_dialect
from greenray.cli.options import DEFAULT_STATE_DIR, StateDirOption
from greenray.cli.output import Json, command_app, note, print_result, reporting_errors

if TYPE_CHECKING:
    from greenray.chain.local.ledger.genesis import Genesis
    from greenray.cluster.chain_copy import ChainCopy

app = command_app(help="Run the embedded Greenfield chain alone, or copy a network's.")

DEFAULT_HOME = Path("~/.greenray-chain")
_SPS = 7
_FIRST_GATEWAY_PORT = 9033


@app.callback()
def chain() -> None:
    """Run the embedded Greenfield chain alone, or copy a network's."""


@app.command()
def serve(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free one.")] = 26750,
    block_interval: Annotated[
        float, typer.Option(metavar="SECONDS", help="Time between two blocks.")
    ] = 0.5,
    home: Annotated[
        Path, typer.Option(metavar="DIR", help="Where its state is kept.")
    ] = DEFAULT_HOME,
    genesis: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What a new home starts from; else one is made."),
    ] = None,
    dialect: Annotated[
        str, typer.Option(metavar="NAME", help="The wire dialect it speaks.")
    ] = DEFAULT_DIALECT,
) -> None:
    """Serve CometBFT JSON-RPC on 127.0.0.1 until SIGINT or SIGTERM.

    One JSON line on stdout says when and where it listens. A new home without --genesis gets one
    for seven storage providers and a user, with their keys in DIR/keys.json.
    """
    with reporting_errors(as_json=False):
        from greenray.chain.local.server import serve as serve_chain
        from greenray.cluster.config.private_files import PRIVATE_UMASK

        os.umask(PRIVATE_UMASK)
        home = home.expanduser()
        local_dialect = get_local_dialect(dialect)
        asyncio.run(
            serve_chain(
                home,
                port=port,
                local_dialect=local_dialect,
                genesis=_genesis(home, genesis, dialect),
                block_interval_s=block_interval,
            )
        )


@app.command()
def backup(
    directory: Annotated[Path, typer.Argument(metavar="DIRECTORY", help="A new directory.")],
    state_dir: StateDirOption = DEFAULT_STATE_DIR,
    as_json: Json = False,
) -> None:
    """Copy a network's embedded chain, its genesis and its keys to DIRECTORY; the network may run.

    The keys are plain test keys: keep the copy as you keep the state directory.
    """
    from greenray.cluster.chain_copy import back_up_chain
    from greenray.cluster.config.state_dir import StateDir

    with reporting_errors(as_json):
        _print_copy("backed up", back_up_chain(StateDir(state_dir), directory.absolute()), as_json)


@app.command()
def restore(
    directory: Annotated[
        Path, typer.Argument(metavar="DIRECTORY", help="What 'chain backup' has made.")
    ],
    state_dir: StateDirOption = DEFAULT_STATE_DIR,
    as_json: Json = False,
) -> None:
    """Put a backup in the place of the embedded chain, which is kept; the network must not run."""
    from greenray.cluster.chain_copy import restore_chain
    from greenray.cluster.config.state_dir import StateDir

    with reporting_errors(as_json):
        state = StateDir(state_dir)
        with state.locked():
            restored = restore_chain(directory, state)
        for path in restored.kept:
            note(f"what was there is kept as {path}")
        _print_copy("restored", restored, as_json)


def _print_copy(done: str, copy: ChainCopy, as_json: bool) -> None:
    document = {"path": str(copy.path), "size_bytes": copy.size_bytes}
    print_result(document, f"{done}: {copy.path}, a chain of {copy.size_bytes} bytes", as_json)


def _genesis(home: Path, given: Path | None, dialect: str) -> Genesis | None:
    """The given genesis, or the home's own; None for a chain that was started from another file.

    Raises InvalidInput, StoreError.
    """
    from greenray.chain.local.ledger.genesis import load_genesis

    own = home / "genesis.json"
    if given is None and not own.exists():
        if (home / "chain.sqlite").exists():
            return None
        _make_own_genesis(home, own, dialect)
    return load_genesis(given or own, get_local_dialect(dialect).fixed_gas)


def _make_own_genesis(home: Path, genesis_file: Path, dialect: str) -> None:
    from greenray.cluster.local_chain.genesis import write_local_genesis
    from greenray.protocol.errors import StoreError

    keys_file = home / "keys.json"
    endpoints = [f"http://127.0.0.1:{_FIRST_GATEWAY_PORT + i}" for i in range(_SPS)]
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_local_genesis(keys_file, genesis_file, endpoints, dialect)
    except OSError as error:
        raise StoreError(
            f"the home cannot be written: {error.strerror}", str(home), "Choose another --home"
        ) from error
    note(f"made a genesis for {_SPS} storage providers; their keys are in {keys_file}")
