"""Signatures of storage providers inside messages, as strictly as a v0.2.0 node checks them."""

from __future__ import annotations

from greenray.chain.addresses import address_text, parse_address
from greenray.chain.dialects.v0_2.local_rules.faults import storage
from greenray.chain.local.ledger.faults import SDK_TEXTS, ChainFault
from greenray.chain.local.ledger.signatures import (
    SIGNATURE_SIZE_BYTES,
    address_of_key,
    recover_public_key,
)

_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
_INVALID_SIGNER = "tx intended signer does not match the given signer"


def check_approval_signature(digest: bytes, signature: bytes, approval_address: str) -> None:
    """An approval or a secondary's signature, strictly: 65 bytes, recovers to the approval
    address, low-s; v 27 and 28 count as 0 and 1 (protocol 04 §12).

    Raises:
        ChainFault: storage/1116, worded as a v0.2.0 node words it.
    """
    if len(signature) != SIGNATURE_SIZE_BYTES:
        raise _refused(
            f"signature length (actual: {len(signature)}) doesn't match typical [R||S||V]"
            f" signature 65 bytes: {_INVALID_SIGNER}"
        )
    v = signature[64] - 27 if signature[64] in (27, 28) else signature[64]
    if v > 3:
        raise _unrecoverable("invalid signature recovery id")
    public_key = recover_public_key(digest, signature)
    if public_key is None:
        raise _unrecoverable("recovery failed")
    recovered, expected = address_of_key(public_key), parse_address(approval_address)
    if recovered != expected:
        raise _refused(
            f"pubkey {address_text(recovered)} is different from approval pubkey"
            f" {address_text(expected)}:"
            f" {SDK_TEXTS[8]}"
        )
    if int.from_bytes(signature[32:64], "big") > _HALF_ORDER:
        raise _refused(f"unable to verify signer signature of EIP712 typed data: {_INVALID_SIGNER}")


def _unrecoverable(reason: str) -> ChainFault:
    return _refused(f"failed to recover delegated fee payer from sig: {reason}")


def _refused(text: str) -> ChainFault:
    return storage(1116, f"verify signature error: {text}")
