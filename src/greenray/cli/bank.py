"""``greenray bank``: coins on the network's chain."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from greenray.cli.options import with_access
from greenray.cli.output import Json, command_app, print_result, reporting_errors
from greenray.client.access import Access

app = command_app(help="Send coins to an address, and show what it has.")


@app.command()
@with_access
def send(
    receiver: Annotated[str, typer.Argument(metavar="ADDRESS", help="Who gets them.")],
    amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="In BNB, like 10 or 0.25.")],
    access: Access,
    as_json: Json = False,
) -> None:
    """Send AMOUNT of your coins to ADDRESS, and wait until they are there."""
    with reporting_errors(as_json):
        send_and_print(receiver, amount, access, as_json)


@app.command()
@with_access
def balance(
    address: Annotated[
        str | None, typer.Argument(metavar="[ADDRESS]", help="Whose; else your own.")
    ] = None,
    *,
    access: Access,
    as_json: Json = False,
) -> None:
    """Show what an address has; one that nobody sent anything has nothing."""
    with reporting_errors(as_json):
        from greenray.client.coins import balance_of
        from greenray.protocol.coins import bnb_text

        owner, amount = asyncio.run(balance_of(access, address))
        document = {"address": owner, "balance": str(amount)}
        print_result(document, f"{owner}  {bnb_text(amount)}", as_json)


def send_and_print(receiver: str, amount: str, access: Access, as_json: bool) -> None:
    """Raises GreenrayError."""
    from greenray.client.coins import send_coins
    from greenray.protocol.coins import bnb_text, parse_bnb

    sent = asyncio.run(send_coins(access, receiver, parse_bnb(amount)))
    text = (
        f"{sent.receiver} got {bnb_text(sent.amount)} and has {bnb_text(sent.balance)},"
        f" sent by {sent.tx_hash} in block {sent.height}"
    )
    print_result(sent.to_json(), text, as_json)
