"""Who asks (protocol 06 §2): by the signature of a wallet or of a page's key."""

from __future__ import annotations

from collections.abc import Callable

from greenray.actors.gateway.auth import ANONYMOUS
from greenray.actors.gateway.browser_keys import BrowserKeys
from greenray.actors.gateway.timestamps import is_ahead, unix_time
from greenray.chain.crypto import address_of_public_key, keccak256, recover_digest
from greenray.protocol.errors import InvalidHeader, SignatureError
from greenray.protocol.gateway_request import GatewayRequest
from greenray.protocol.http_auth import (
    EXPIRING_HEADERS,
    EXPIRING_SCHEME,
    EXPIRY_HEADER,
    MAX_EXPIRY_S,
    parse_authorization,
    parse_expiring_authorization,
    verify_authorization,
)
from greenray.protocol.user_keys import OFF_CHAIN_AUTH, PERSONAL_SIGN


class Authenticator:
    """For all SPs of a Gateway."""

    def __init__(self, keys: BrowserKeys, clock: Callable[[], float]) -> None:
        """``clock``: unix seconds."""
        self._keys = keys
        self._clock = clock

    async def signer(self, request: GatewayRequest, *, anonymous_allowed: bool = False) -> str:
        """The EIP-55 address in whose name the request is; ANONYMOUS where that is allowed.

        Raises:
            SignatureError: no or another scheme, tampered, or not a signature.
            InvalidHeader: the request has expired, or does not say when it does.
            JournalError: see ``BrowserKeys.signer``.
        """
        header = request.header("Authorization")
        if not header and anonymous_allowed:
            return ANONYMOUS
        if header.startswith(f"{EXPIRING_SCHEME},"):
            return self._expiring_signer(request, header)
        if header.startswith(f"{OFF_CHAIN_AUTH},"):
            return await self._keys.signer(request)
        if header.startswith(f"{PERSONAL_SIGN},"):
            raise SignatureError(
                "a personal signature is of no request, and counts for /auth/update_key only",
                "",
                "Register a key with it, and sign requests with that one",
            )
        authorization = parse_authorization(header)
        return verify_authorization(authorization, request.canonical(), keccak256, _recover)

    def _expiring_signer(self, request: GatewayRequest, header: str) -> str:
        expires_at = unix_time(request.expiry())
        if expires_at is None or not is_ahead(expires_at, self._clock(), MAX_EXPIRY_S):
            raise InvalidHeader(
                "is no time from now to a week from now, like 2023-05-15T08:10:00Z", EXPIRY_HEADER
            )
        signature = parse_expiring_authorization(header)
        return _recover(keccak256(request.canonical(EXPIRING_HEADERS)), signature)


def _recover(message: bytes, signature: bytes) -> str:
    if signature[64] > 1:
        raise SignatureError("v of the signature is neither 0 nor 1")
    return address_of_public_key(recover_digest(message, signature, accept_27_28=False))
