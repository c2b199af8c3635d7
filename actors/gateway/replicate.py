"""The HTTP route replicate-piece (protocol 03 §7): a group of another SP's object arrives."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web

from greenray.actors.credit.lending import Borrower
from greenray.actors.gateway.errors import GatewayCode, Refusal
from greenray.actors.ports import ObjectSpace, ReceiverPort
from greenray.actors.receiver.group_intake import GroupIntake
from greenray.actors.receiver.replicate_piece import receive_group, wire_code
from greenray.protocol.errors import GreenrayError
from greenray.protocol.gateway_request import GatewayRequest


async def replicate_piece(
    receiver: ReceiverPort | None,
    request: GatewayRequest,
    body: AsyncIterator[bytes],
    space: ObjectSpace | None,
    intake: GroupIntake,
    borrower: Borrower,
) -> web.Response:
    """200 with the integrity hash and its signature in headers; no request id, as in Go.

    Raises:
        Refusal: with the code of 03 §7.1.
    """
    if receiver is None:
        raise Refusal(GatewayCode.NO_COMPONENT)
    try:
        answer = await receive_group(
            receiver,
            request.sp_address,
            dict(request.headers),
            body,
            intake=intake,
            borrower=borrower,
            space=space,
        )
    except GreenrayError as error:
        raise Refusal(GatewayCode.of(wire_code(error)), error) from error
    return web.Response(headers=answer)
