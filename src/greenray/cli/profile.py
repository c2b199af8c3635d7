"""``greenray profile``: the networks that this user's commands know by name."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from greenray.cli.output import Json, command_app, note, print_result, reporting_errors

if TYPE_CHECKING:
    from greenray.client.profiles import Profile, Profiles

app = command_app(help="Keep networks by name: which chain, which gateway, whose key.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The profile's.")]


@app.command()
def add(
    name: Name,
    chain: Annotated[str, typer.Option(metavar="URL", help="A node of its chain.")],
    gateway: Annotated[
        str, typer.Option(metavar="URL", help="A gateway; else one that the chain knows.")
    ] = "",
    key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Your keystore; it stays where it is.")
    ] = None,
    password_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Its first line is the keystore's password; else GREENRAY_KEY_PASSWORD, else a "
            "question.",
        ),
    ] = None,
    is_default: Annotated[
        bool, typer.Option("--default", help="Mean it where nothing else is said.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Change the profile that has this name.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Keep a network as NAME. Nobody is asked; 'greenray ls --profile NAME' shows that it answers.

    Example: greenray profile add home --chain http://10.0.0.7:26750 --key ~/seal.json
    """
    from greenray.client.access import checked_url
    from greenray.client.profiles import Profile
    from greenray.protocol.errors import KeystoreError

    with reporting_errors(as_json):
        for file in (key, password_file):
            if file is not None and not file.expanduser().is_file():
                raise KeystoreError("there is no such file", str(file), "Check the path")
        profile = Profile(
            checked_url(chain, "chain"),
            checked_url(gateway, "gateway") if gateway else "",
            _absolute(key),
            _absolute(password_file),
        )
        profiles = _read().added(name, profile, replacing=replace, is_default=is_default)
        _write(profiles)
        print_result(_document(name, profiles), _line(name, profiles), as_json)
        if profiles.default != name and not as_json:
            note(f"use it with --profile {name}, or always: greenray profile default {name}")


@app.command("list")
def list_profiles(as_json: Json = False) -> None:
    """List the profiles; with --json a line for each."""
    with reporting_errors(as_json):
        profiles = _read()
        if as_json:
            for name in profiles.by_name:
                typer.echo(json.dumps(_document(name, profiles)))
        elif profiles.by_name:
            print_result({}, "\n".join(_line(name, profiles) for name in profiles.by_name), False)
        else:
            note("there are no profiles; make one with 'greenray profile add'")


@app.command()
def show(name: Name, as_json: Json = False) -> None:
    """Show one profile."""
    with reporting_errors(as_json):
        profiles = _read()
        document = _document(name, profiles)
        text = "\n".join(f"{field:13}  {value or '-'}" for field, value in document.items())
        print_result(document, text, as_json)


@app.command()
def remove(name: Name, as_json: Json = False) -> None:
    """Forget a profile; its keystore stays where it is."""
    with reporting_errors(as_json):
        profiles = _read()
        document = _document(name, profiles)
        _write(profiles.without(name))
        print_result(document, f"{name}: removed", as_json)


@app.command()
def default(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="The profile to mean from now on.")
    ] = None,
    none: Annotated[
        bool, typer.Option("--none", help="None: the network on this machine.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say which profile is meant where nothing else is said, or show it."""
    if none and name is not None:
        raise typer.BadParameter("name a profile, or give --none")
    with reporting_errors(as_json):
        profiles = _read()
        if none or name is not None:
            profiles = profiles.with_default(name or "")
            _write(profiles)
        what = profiles.default or "none: the network on this machine is meant"
        print_result({"default": profiles.default or None}, what, as_json)


def _document(name: str, profiles: Profiles) -> dict[str, object]:
    return {
        "name": name,
        **profiles.named(name).to_json(),
        "default": profiles.default == name,
    }


def _line(name: str, profiles: Profiles) -> str:
    profile: Profile = profiles.named(name)
    parts = [profile.chain, profile.gateway and f"gateway {profile.gateway}"]
    parts += [profile.key and f"key {profile.key}"]
    mark = "  (default)" if profiles.default == name else ""
    return f"{name}  {', '.join(filter(None, parts))}{mark}"


def _absolute(file: Path | None) -> str:
    return str(file.expanduser().absolute()) if file is not None else ""


def _read() -> Profiles:
    from greenray.client.profiles import profiles_file, read_profiles

    return read_profiles(profiles_file(os.environ))


def _write(profiles: Profiles) -> None:
    from greenray.client.profiles import profiles_file, write_profiles

    write_profiles(profiles_file(os.environ), profiles)
