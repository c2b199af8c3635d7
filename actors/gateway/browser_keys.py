"""Off-chain auth: an account registers the key of a page, which then asks in its name (protocol 06
§2; what is registered: ``greenray.protocol.user_keys``)."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping

from aiohttp import web

from greenray.actors.gateway.auth import PermissionChecks
from greenray.actors.gateway.errors import GatewayCode, Refusal
from greenray.actors.gateway.object_head import REQUEST_ID_HEADER
from greenray.actors.gateway.timestamps import is_ahead, unix_time
from greenray.chain import eddsa
from greenray.chain.crypto import (
    address_of_public_key,
    keccak256,
    recover_digest,
    to_checksum_address,
)
from greenray.protocol.errors import (
    InvalidHeader,
    InvalidInput,
    SignatureError,
    WrongNonce,
)
from greenray.protocol.gateway_request import GatewayRequest
from greenray.protocol.user_keys import (
    MAX_DOMAIN_BYTES,
    MAX_KEY_AGE_S,
    OFF_CHAIN_AUTH,
    PERSONAL_SIGN,
    SignedText,
    UserKey,
    check_signed_time,
    parse_registration,
    parse_signed_text,
)
from greenray.storage.user_key_store import UserKeyStore

ADDRESS_HEADER = "X-Gnfd-User-Address"
DOMAIN_HEADER = "X-Gnfd-App-Domain"
NONCE_HEADER = "X-Gnfd-App-Reg-Nonce"
PUBLIC_KEY_HEADER = "X-Gnfd-App-Reg-Public-Key"
EXPIRY_HEADER = "X-Gnfd-App-Reg-Expiry-Date"

_NONCE = re.compile(r"[0-9]{1,10}")
_HEX = re.compile(r"(0x)?([0-9a-fA-F]{2})*")


class BrowserKeys:
    """For all SPs of a Gateway."""

    def __init__(
        self,
        store: UserKeyStore,
        checks: Mapping[str, PermissionChecks],
        clock: Callable[[], float],
    ) -> None:
        """``checks``: by operator address; ``clock``: unix seconds."""
        self._store = store
        self._checks = checks
        self._clock = clock

    async def request_nonce(self, request: GatewayRequest) -> web.Response:
        """The key of an account and domain, and the nonce of the next one.

        Raises: Refusal, InvalidHeader, JournalError.
        """
        account, domain = _account(request), _domain(request)
        key = await self._store.user_key(request.sp_address, account, domain)
        return _json(
            request,
            {
                "current_nonce": key.nonce if key else 0,
                "next_nonce": key.nonce + 1 if key else 1,
                "current_public_key": key.public_key if key else "",
                "expiry_date": str(int(1000 * (key.expires_at if key else self._clock()))),
            },
        )

    async def update_key(self, request: GatewayRequest) -> web.Response:
        """Registers a key that its account has signed for, for this provider and now.

        Raises: Refusal, with the code of what is wrong; SignatureError, AccessDenied (no account on
        chain, TooManyKeys), InvalidHeader, ChainError, JournalError.
        """
        signed = parse_signed_text(request.header("Authorization"), PERSONAL_SIGN)
        account = _personal_signer(signed)
        await self._checks[request.sp_address].check_account(account)
        domain = _domain(request)
        if domain != request.header("Origin"):
            raise InvalidHeader("Origin is another one than X-Gnfd-App-Domain", domain)
        public_key = request.header(PUBLIC_KEY_HEADER)
        _check_public_key(public_key)
        nonce, expiry = request.header(NONCE_HEADER), request.header(EXPIRY_HEADER)
        last = await self._store.user_key(request.sp_address, account, domain)
        if not _NONCE.fullmatch(nonce) or int(nonce) != (last.nonce + 1 if last else 1):
            raise Refusal(GatewayCode.INVALID_REG_NONCE)
        expires_at = unix_time(expiry)
        if expires_at is None or not is_ahead(expires_at, self._clock(), MAX_KEY_AGE_S):
            raise Refusal(GatewayCode.INVALID_EXPIRY_DATE)
        _check_registration(signed.text, request.sp_address, (domain, public_key, expiry), nonce)
        key = UserKey(request.sp_address, account, domain, public_key, int(nonce), expires_at)
        try:
            await self._store.register_key(key)
        except WrongNonce as error:
            raise Refusal(GatewayCode.INVALID_REG_NONCE, error) from error
        return _json(request, {"result": True})

    async def signer(self, request: GatewayRequest) -> str:
        """The account (EIP-55) in whose name a page asks. What it has signed is not the request.

        Raises: SignatureError, JournalError.
        """
        signed = parse_signed_text(request.header("Authorization"), OFF_CHAIN_AUTH)
        now = self._clock()
        try:
            account, domain = _account(request), _domain(request)
        except (Refusal, InvalidHeader) as error:
            raise SignatureError(
                "the request names no account and domain whose key has signed",
                "",
                f"Send {ADDRESS_HEADER} and {DOMAIN_HEADER}",
            ) from error
        check_signed_time(signed.text, now)
        signature = _bytes_of(signed.signature)
        key = await self._store.user_key(request.sp_address, account, domain)
        if key is None:
            raise SignatureError(
                "the account has no key for this domain", domain, "Register one: /auth/update_key"
            )
        if key.expires_at < now:
            raise SignatureError("the key of this domain has expired", domain, "Register another")
        point = eddsa.decode_point(bytes.fromhex(key.public_key))
        # Some milliseconds, in which others are answered.
        await asyncio.to_thread(
            eddsa.verify, point, signed.text.encode("utf-8", "surrogateescape"), signature
        )
        return account


def _check_registration(
    text: str, sp_address: str, expected: tuple[str, str, str], nonce: str
) -> None:
    """``expected``: domain, public key and expiry. Raises Refusal."""
    registration = parse_registration(text)
    if registration is None:
        raise Refusal(GatewayCode.SIGNED_TEXT_NO_TEMPLATE)
    if sp_address not in registration.nonces:
        raise Refusal(GatewayCode.SIGNED_TEXT_OTHER_SP)
    said = (registration.domain, registration.public_key, registration.expires)
    if registration.nonces[sp_address] != nonce or said != expected:
        raise Refusal(GatewayCode.SIGNED_TEXT_OTHER_HEADERS)


def _account(request: GatewayRequest) -> str:
    try:
        return to_checksum_address(request.header(ADDRESS_HEADER))
    except InvalidInput as error:
        raise Refusal(GatewayCode.INVALID_ADDRESS, error) from error


def _domain(request: GatewayRequest) -> str:
    domain = request.header(DOMAIN_HEADER)
    if not domain or len(domain) > MAX_DOMAIN_BYTES or not domain.isprintable():
        raise InvalidHeader(
            "is no domain", DOMAIN_HEADER, "Give the page's origin, like https://app.example"
        )
    return domain


def _check_public_key(text: str) -> None:
    try:
        eddsa.decode_point(bytes.fromhex(text))
    except (ValueError, SignatureError) as error:
        raise InvalidHeader(
            "is no EdDSA public key", PUBLIC_KEY_HEADER, "Give its 32 bytes in hexadecimal"
        ) from error


def _personal_signer(signed: SignedText) -> str:
    """Whose wallet has signed the text (EIP-191). Raises SignatureError."""
    text = signed.text.encode("utf-8", "surrogateescape")
    digest = keccak256(b"\x19Ethereum Signed Message:\n%d%s" % (len(text), text))
    return address_of_public_key(recover_digest(digest, _bytes_of(signed.signature)))


def _bytes_of(text: str) -> bytes:
    if not _HEX.fullmatch(text):
        raise SignatureError("the signature is not hexadecimal")
    return bytes.fromhex(text.removeprefix("0x"))


def _json(request: GatewayRequest, document: Mapping[str, object]) -> web.Response:
    return web.Response(
        body=json.dumps(document, separators=(",", ":")).encode(),
        content_type="application/json",
        headers={REQUEST_ID_HEADER: request.request_id},
    )
