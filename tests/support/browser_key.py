"""A page with a key, and the wallet that registers it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from greenray.chain import eddsa
from greenray.chain.crypto import address_of, keccak256, sign_digest

TEMPLATE = """{domain} wants you to sign in with your BNB Greenfield account:
{account}

Register your identity public key {public_key}

URI: {domain}
Version: 1
Chain ID: 5600
Issued At: 2023-05-15T08:00:00Z
Expiration Time: {expires}
Resources:
- SP 0x20Bb76D063a6d2B18B6DaBb2aC985234a4B9eDe0 (name: SP_002) with nonce: 7
- SP {sp_address} (name: SP_001) with nonce: {nonce}"""


@dataclass(frozen=True, slots=True)
class BrowserKey:
    """Of a page at ``domain``; ``wallet_key`` is the account's."""

    wallet_key: bytes
    domain: str = "https://app.example"
    seed: bytes = b"a page"

    @property
    def account(self) -> str:
        return address_of(self.wallet_key)

    @property
    def _scalar(self) -> int:
        return int.from_bytes(hashlib.sha512(self.seed).digest()) % eddsa.ORDER

    @property
    def public_key(self) -> str:
        return eddsa.encode_point(eddsa.multiply(self._scalar, eddsa.BASE)).hex()

    def sign(self, text: str) -> bytes:
        message = text.encode()
        blinding = int.from_bytes(hashlib.sha512(self.seed + message).digest()) % eddsa.ORDER
        commitment = eddsa.multiply(blinding, eddsa.BASE)
        public = eddsa.multiply(self._scalar, eddsa.BASE)
        hashed = eddsa.challenge(commitment, public, message)
        scalar = (blinding + hashed * self._scalar) % eddsa.ORDER
        return eddsa.encode_point(commitment) + scalar.to_bytes(32)

    def asking(self, action: str = "read", *, for_s: float = 60.0) -> dict[str, str]:
        """The headers of a request in the account's name."""
        text = f"{action}_{int(1000 * (time.time() + for_s))}"
        signature = self.sign(text).hex()
        return {
            "X-Gnfd-User-Address": self.account,
            "X-Gnfd-App-Domain": self.domain,
            "Authorization": f"OffChainAuth EDDSA,SignedMsg={text},Signature={signature}",
        }

    def registration(
        self, sp_address: str, nonce: object = 1, *, for_s: float = 3600.0, text: str = TEMPLATE
    ) -> dict[str, str]:
        """The headers of a registration until so many seconds from now."""
        expires = datetime.fromtimestamp(int(time.time() + for_s), UTC)
        shown = expires.strftime("%Y-%m-%dT%H:%M:%SZ")
        values: Mapping[str, object] = {
            "domain": self.domain,
            "account": self.account,
            "public_key": self.public_key,
            "expires": shown,
            "sp_address": sp_address,
            "nonce": nonce,
        }
        return {
            "Origin": self.domain,
            "X-Gnfd-App-Domain": self.domain,
            "X-Gnfd-App-Reg-Nonce": str(nonce),
            "X-Gnfd-App-Reg-Public-Key": self.public_key,
            "X-Gnfd-App-Reg-Expiry-Date": shown,
            "Authorization": personal_signature(self.wallet_key, text.format(**values)),
        }


def personal_signature(wallet_key: bytes, text: str) -> str:
    """As a wallet signs it (EIP-191), with 27 or 28."""
    data = text.encode()
    digest = keccak256(b"\x19Ethereum Signed Message:\n%d%s" % (len(data), data))
    signature = bytearray(sign_digest(wallet_key, digest))
    signature[64] += 27
    shown = text.replace("\n", "\\n")
    return f"PersonalSign ECDSA-secp256k1,SignedMsg={shown},Signature=0x{signature.hex()}"
