"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

DEFAULT_STATE_DIR = Path("~/.greenray")

StateDirOption = Annotated[
    Path,
    typer.Option(
        "--state-dir",
        envvar="GREENRAY_STATE_DIR",
        help="Where the network keeps everything that must survive.",
    ),
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="Settings; greenray.yaml here by default.")
]
SpsOption = Annotated[int | None, typer.Option("--sps", min=2, help="Storage providers to host.")]
ChainEndpointOption = Annotated[
    str | None,
    typer.Option("--chain-endpoint", help="An existing node instead of the embedded chain."),
]
KeysOption = Annotated[
    Path | None,
    typer.Option("--keys", help="Their keys: a directory of keystores, or JSON with test keys."),
]

GatewayOption = Annotated[
    str | None,
    typer.Option(
        "--gateway", help="The gateway to use, one that 'greenray status' shows; else the first."
    ),
]
KeyOption = Annotated[
    Path | None,
    typer.Option(
        "--key", help="Your keystore (password in GREENRAY_KEY_PASSWORD); else the network's user."
    ),
]


def chain_overrides(chain_endpoint: str | None, keys: Path | None) -> dict[str, Any]:
    """The chain's settings as given on the command line; only what was given."""
    given = {"endpoint": chain_endpoint, "keys": keys}
    return {name: value for name, value in given.items() if value is not None}
