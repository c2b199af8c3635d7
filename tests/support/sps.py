"""Storage providers with known keys, and a signer that holds them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from greenray.actors.ports import SignerPort
from greenray.chain.crypto import address_of
from greenray.chain.crypto import sign_bytes as sign
from greenray.protocol.objects import StorageProvider


def test_key(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


test_key.__test__ = False  # type: ignore[attr-defined]  # pytest asks a function for it


@dataclass(frozen=True, slots=True)
class SpKeys:
    operator: bytes
    seal: bytes
    approval: bytes

    @classmethod
    def numbered(cls, index: int) -> SpKeys:
        return cls(*(test_key(f"sp-{index}-{p}") for p in ("operator", "seal", "approval")))

    @property
    def address(self) -> str:
        return address_of(self.operator)

    def provider(self, endpoint: str = "") -> StorageProvider:
        return StorageProvider(
            operator_address=self.address,
            funding_address=self.address,
            seal_address=address_of(self.seal),
            approval_address=address_of(self.approval),
            gc_address=self.address,
            endpoint=endpoint,
        )


class KeySigner(SignerPort):
    """With the keys of several SPs."""

    def __init__(self, sps: Sequence[SpKeys]) -> None:
        self._by_address = {sp.address: sp for sp in sps}

    async def sign_as_operator(self, sp_address: str, sign_bytes: bytes) -> bytes:
        return sign(self._by_address[sp_address].operator, sign_bytes)

    async def sign_as_approver(self, sp_address: str, sign_bytes: bytes) -> bytes:
        return sign(self._by_address[sp_address].approval, sign_bytes)
