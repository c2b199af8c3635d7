"""get-approval: the primary's consent to a bucket or an object (protocol 06 §3.4, 04 §2)."""

from __future__ import annotations

import json
from typing import Any

from greenray.actors.chain_view.seal_funds import SealFunds
from greenray.actors.gateway.errors import GatewayCode, Refusal
from greenray.actors.ports import SignerPort
from greenray.chain.dialect import Dialect, Message
from greenray.chain.ports import ChainClient
from greenray.protocol.errors import InvalidHeader, InvalidInput
from greenray.protocol.gateway_request import GatewayRequest
from greenray.protocol.go_json import sorted_compact

UNSIGNED_HEADER = "X-Gnfd-Unsigned-Msg"
APPROVAL_BLOCKS = 100
"""How many blocks an approval lasts (protocol 04 §2)."""


class Approver:
    """Signs approvals with the approval key of the SP that was asked."""

    def __init__(
        self, chain: ChainClient, signer: SignerPort, dialect: Dialect, funds: SealFunds
    ) -> None:
        self._chain = chain
        self._signer = signer
        self._dialect = dialect
        self._funds = funds

    async def approve(self, request: GatewayRequest) -> bytes:
        """The message with its approval, as sorted compact JSON.

        Raises:
            InvalidHeader: the message is not hex, not JSON, or the chain would refuse it as it is.
            Refusal: the action is none that is approved.
            SealAccountWithoutFunds: it is an object, which this SP could not seal.
        """
        text = _unhex(request.header(UNSIGNED_HEADER))
        action = request.query.value("action")
        message_type = self._dialect.approval_actions.get(action)
        if message_type is None:
            raise Refusal(GatewayCode.NOT_IMPLEMENTED)
        message = self._read(text, message_type)
        if self._dialect.must_be_sealed(message):
            await self._funds.check(request.sp_address)
        expired_height = await self._chain.latest_height() + APPROVAL_BLOCKS
        unsigned = self._dialect.with_approval(message, expired_height, b"")
        signature = await self._signer.sign_as_approver(
            request.sp_address, self._dialect.approval_sign_bytes(unsigned)
        )
        signed = self._dialect.with_approval(message, expired_height, signature)
        return sorted_compact(self._dialect.message_to_json(signed))

    def _read(self, text: bytes, message_type: type[Message]) -> Message:
        try:
            value: Any = json.loads(text)
            message = self._dialect.message_from_json(value, message_type)
        except (ValueError, TypeError, RecursionError, InvalidInput) as error:
            raise InvalidHeader(
                f"the value is not a {message_type.__name__}: {error}", UNSIGNED_HEADER
            ) from error
        fault = self._dialect.validate_basic(message)
        if fault is not None:
            raise InvalidHeader(
                f"the chain would refuse the message ({fault.codespace}/{fault.code}: {fault.log})",
                UNSIGNED_HEADER,
            )
        return message


def _unhex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise InvalidHeader("the value is not hexadecimal", UNSIGNED_HEADER) from error
