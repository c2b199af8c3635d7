"""``greenray bank``: coins on the network's chain."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from greenray.cli.options import DEFAULT_STATE_DIR, KeyOption, StateDirOption
from greenray.cli.output import Json, command_app, print_result, reporting_errors

app = command_app(help="Send coins to an address, and show what it has.")


@app.command()
def send(
    receiver: Annotated[str, typer.Argument(metavar="ADDRESS", help="Who gets them.")],
    amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="In BNB, like 10 or 0.25.")],
    state_dir: StateDirOption = DEFAULT_STATE_DIR,
    key: KeyOption = None,
    as_json: Json = False,
) -> None:
    """Send AMOUNT of your coins to ADDRESS, and wait until they are there."""
    with reporting_errors(as_json):
        send_and_print(receiver, amount, state_dir, key, as_json)


@app.command()
def balance(
    address: Annotated[
        str | None, typer.Argument(metavar="[ADDRESS]", help="Whose; else your own.")
    ] = None,
    state_dir: StateDirOption = DEFAULT_STATE_DIR,
    key: KeyOption = None,
    as_json: Json = False,
) -> None:
    """Show what an address has; one that nobody sent anything has nothing."""
    with reporting_errors(as_json):
        from greenray.client.coins import balance_of
        from greenray.client.network_file import read_network
        from greenray.protocol.coins import bnb_text

        owner, amount = asyncio.run(balance_of(read_network(state_dir), address, key))
        document = {"address": owner, "balance": str(amount)}
        print_result(document, f"{owner}  {bnb_text(amount)}", as_json)


def send_and_print(
    receiver: str, amount: str, state_dir: Path, key: Path | None, as_json: bool
) -> None:
    """Raises GreenrayError."""
    from greenray.client.coins import send_coins
    from greenray.client.network_file import read_network
    from greenray.protocol.coins import bnb_text, parse_bnb

    amount_wei = parse_bnb(amount)
    sent = asyncio.run(send_coins(read_network(state_dir), receiver, amount_wei, key))
    text = (
        f"{sent.receiver} got {bnb_text(sent.amount)} and has {bnb_text(sent.balance)},"
        f" sent by {sent.tx_hash} in block {sent.height}"
    )
    print_result(sent.to_json(), text, as_json)
