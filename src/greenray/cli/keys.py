"""``greenray keys``: encrypted keystore files. A key is never shown, logged or an argument."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from greenray.chain.keystore import PASSWORD_VARIABLE, first_line
from greenray.cli.options import with_access
from greenray.cli.output import Json, command_app, print_result, reporting_errors
from greenray.client.access import Access
from greenray.protocol.errors import KeystoreError

if TYPE_CHECKING:
    from collections.abc import Mapping

app = command_app(help="Make, import and show encrypted keys, and give their addresses coins.")

KeystoreFile = Annotated[Path, typer.Argument(metavar="FILE", help="The keystore file.")]
PasswordFile = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        help=f"Its first line is the password; else {PASSWORD_VARIABLE}, else a question.",
    ),
]


@app.command()
def new(file: KeystoreFile, password_file: PasswordFile = None, as_json: Json = False) -> None:
    """Make a key and write it, encrypted, to FILE."""
    with reporting_errors(as_json):
        from greenray.chain.keystore import new_key

        _print_address(new_key(file, _password(password_file, confirm=True)), file, as_json)


@app.command("import")
def import_(
    file: KeystoreFile,
    key_file: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="PATH",
            help="A file with the key in hexadecimal, - for stdin; else a question.",
        ),
    ] = None,
    password_file: PasswordFile = None,
    as_json: Json = False,
) -> None:
    """Write a key that you have, encrypted, to FILE."""
    with reporting_errors(as_json):
        from greenray.chain.keystore import import_key, parse_private_key

        text, where = _key_text(key_file)
        private_key = parse_private_key(text, where)
        password = _password(password_file, confirm=True)
        _print_address(import_key(file, private_key, password), file, as_json)


@app.command()
def show(file: KeystoreFile, password_file: PasswordFile = None, as_json: Json = False) -> None:
    """Open the keystore FILE and show the address of its key."""
    with reporting_errors(as_json):
        from greenray.chain.crypto import address_of
        from greenray.chain.keystore import load_key

        private_key = load_key(file, _password(password_file, confirm=False))
        _print_address(address_of(private_key), file, as_json)


@app.command()
@with_access
def fund(
    receiver: Annotated[
        str, typer.Argument(metavar="ADDRESS|FILE", help="An address, or a keystore of its key.")
    ],
    amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="In BNB.")] = "10",
    password_file: PasswordFile = None,
    *,
    access: Access,
    as_json: Json = False,
) -> None:
    """Give an address coins of the network's own user, so that its key can put.

    On the embedded chain that user has plenty; elsewhere it has what it was given.
    """
    with reporting_errors(as_json):
        from greenray.chain.crypto import address_of
        from greenray.chain.keystore import load_key
        from greenray.cli.bank import send_and_print

        file = Path(receiver)
        if file.is_file():
            receiver = address_of(load_key(file, _password(password_file, confirm=False)))
        send_and_print(receiver, amount, access, as_json)


def _print_address(address: str, file: Path, as_json: bool) -> None:
    document: Mapping[str, str] = {"address": address, "keystore": str(file)}
    print_result(document, f"{address}  {file}", as_json)


def _password(password_file: Path | None, *, confirm: bool) -> str:
    """From the file, the environment or a question at the terminal. Raises KeystoreError."""
    if password_file is not None:
        password, where = first_line(password_file), str(password_file)
    elif PASSWORD_VARIABLE in os.environ:
        password, where = os.environ[PASSWORD_VARIABLE], PASSWORD_VARIABLE
    elif sys.stdin.isatty():
        question = "Password of the keystore"
        return str(typer.prompt(question, hide_input=True, confirmation_prompt=confirm, err=True))
    else:
        raise KeystoreError(
            "no password was given", "", f"Set {PASSWORD_VARIABLE} or use --password-file"
        )
    if not password:
        raise KeystoreError("the password is empty", where, "Choose another one")
    return password


def _key_text(key_file: str | None) -> tuple[str, str]:
    """The key in hexadecimal and where it is from. Raises KeystoreError."""
    if key_file == "-":
        return sys.stdin.readline(), "stdin"
    if key_file is not None:
        return first_line(Path(key_file)), key_file
    if sys.stdin.isatty():
        return str(typer.prompt("Private key (hexadecimal)", hide_input=True, err=True)), "terminal"
    raise KeystoreError("no key was given", "", "Use --from PATH, or --from - for stdin")
