"""Options that several commands share."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from greenray.cli.output import reporting_errors
from greenray.client.access import DEFAULT_STATE_DIR as DEFAULT_STATE_DIR
from greenray.client.access import Access, Said, chosen_access

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

_ACCESS_OPTIONS: tuple[tuple[str, Any], ...] = (
    (
        "state_dir",
        typer.Option(
            "--state-dir",
            metavar="DIRECTORY",
            help="A network on this machine, by its state directory (GREENRAY_STATE_DIR, else "
            "~/.greenray).",
        ),
    ),
    (
        "profile",
        typer.Option(
            "--profile",
            metavar="NAME",
            help="A network anywhere, as 'greenray profile' keeps it (GREENRAY_PROFILE).",
        ),
    ),
    (
        "chain",
        typer.Option(
            "--chain", metavar="URL", help="Its chain, without a profile (GREENRAY_CHAIN_URL)."
        ),
    ),
    (
        "gateway",
        typer.Option(
            "--gateway",
            metavar="URL",
            help="The gateway to use (GREENRAY_GATEWAY_URL); else the network's first, or one that "
            "the chain knows.",
        ),
    ),
    (
        "key",
        typer.Option(
            "--key",
            metavar="FILE",
            help="Your keystore (GREENRAY_KEY; its password in GREENRAY_KEY_PASSWORD, else it is "
            "asked for); else the user of the network on this machine.",
        ),
    ),
)


def with_access(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command whose parameter ``access`` is an ``Access`` the options that say it; they
    stand before ``--json``, and what is wrong with them is reported as any other error."""
    own = inspect.signature(function, eval_str=True).parameters
    names = [name for name, _ in _ACCESS_OPTIONS]

    @wraps(function)
    def command(**given: Any) -> None:
        said = Said(**{name: given.pop(name) or "" for name in names})
        with reporting_errors(given.get("as_json", False)):
            access = _access(said)
        function(access=access, **given)

    options = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[str | None, option],
        )
        for name, option in _ACCESS_OPTIONS
    ]
    before = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in own.items()
        if name not in ("access", "as_json")
    ]
    after = [own["as_json"].replace(kind=inspect.Parameter.KEYWORD_ONLY)]
    parameters = [*before, *options, *after]
    # typer reads both.
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


def _access(said: Said) -> Access:
    """Raises InvalidInput, InvalidSetting, UnreadableFile."""
    from greenray.client.profiles import profiles_file, read_profiles

    variables = Said.by_variables(os.environ)
    profiles = partial(read_profiles, profiles_file(os.environ))
    return chosen_access(said, variables, profiles, _ask_password if sys.stdin.isatty() else None)


def _ask_password(file: Path) -> str:
    return str(typer.prompt(f"Password of {file}", hide_input=True, err=True))


def chain_overrides(chain_endpoint: str | None, keys: Path | None) -> dict[str, Any]:
    """The chain's settings as given on the command line; only what was given."""
    given = {"endpoint": chain_endpoint, "keys": keys}
    return {name: value for name, value in given.items() if value is not None}
