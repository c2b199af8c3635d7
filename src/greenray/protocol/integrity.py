"""Integrity hashes and the signatures over them (protocol 01 §6, 03 §6, §7.3)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from greenray.protocol.approvals import Recover
from greenray.protocol.errors import (
    InvalidInput,
    SecondaryLied,
    SignatureError,
    WrongRedundancyIndex,
)
from greenray.protocol.go_json import sorted_compact
from greenray.protocol.job import SecondaryReceipt
from greenray.protocol.layout import SEGMENTS
from greenray.protocol.objects import ObjectInfo, StorageProvider

CHECKSUM_SIZE_BYTES = 32


@dataclass(frozen=True, slots=True)
class UnverifiedReceipt:
    """What a secondary says of a group it has finished: its integrity hash, and a signature that
    nobody has checked. ``verify_receipt`` makes a ``SecondaryReceipt`` of it."""

    redundancy_index: int
    operator_address: str
    integrity_hash: bytes
    signature: bytes


def integrity_hash(piece_checksums: Iterable[bytes]) -> bytes:
    """SHA-256 of the raw piece checksums (32 bytes each) joined in segment order.

    Raises:
        InvalidInput: a checksum is not 32 bytes long.
    """
    checksums = tuple(piece_checksums)
    for index, checksum in enumerate(checksums):
        if len(checksum) != CHECKSUM_SIZE_BYTES:
            raise InvalidInput(f"checksum of piece {index} has {len(checksum)} bytes, not 32")
    return sha256(b"".join(checksums)).digest()


def secondary_sign_bytes(operator_address: str, object_id: int, integrity_hash: bytes) -> bytes:
    """SecondarySpSignDoc: signed by the approval key, though it names the operator address."""
    return sorted_compact(
        {
            "sp_address": operator_address,
            "object_id": str(object_id),
            "checksum": b64encode(integrity_hash).decode(),
        }
    )


def expected_integrity_hash(object_info: ObjectInfo, redundancy_index: int) -> bytes:
    """The chain's integrity hash of a column; ``SEGMENTS`` (-1) is the primary's.

    Raises:
        WrongRedundancyIndex: the object has no such checksum.
    """
    last = len(object_info.checksums) - 2
    if not SEGMENTS <= redundancy_index <= last:
        raise WrongRedundancyIndex(
            f"redundancy index {redundancy_index} is outside {SEGMENTS}..{last}", object_info.name
        )
    return object_info.checksums[redundancy_index + 1]


def verify_receipt(
    receipt: UnverifiedReceipt | SecondaryReceipt,
    object_info: ObjectInfo,
    provider: StorageProvider,
    recover: Recover,
) -> SecondaryReceipt:
    """The receipt as a verified one: ``provider`` vouches for exactly what the chain says its group
    must be. One that was verified already is verified again all the same.

    Raises:
        SecondaryLied: another address, no such index, another hash, or a signature that is not of
            the provider's approval key.
    """
    where = f"secondary {provider.operator_address}, index {receipt.redundancy_index}"
    if receipt.operator_address != provider.operator_address:
        raise SecondaryLied(f"the receipt is of {receipt.operator_address}", where)
    if not 0 <= receipt.redundancy_index < len(object_info.checksums) - 1:
        raise SecondaryLied(f"{object_info.name} has no such redundancy index", where)
    if receipt.integrity_hash != expected_integrity_hash(object_info, receipt.redundancy_index):
        raise SecondaryLied(
            f"integrity hash {receipt.integrity_hash.hex()} is not the chain's for "
            f"{object_info.name}",
            where,
        )
    sign_bytes = secondary_sign_bytes(
        receipt.operator_address, object_info.id, receipt.integrity_hash
    )
    try:
        signer = recover(sign_bytes, receipt.signature)
    except SignatureError as error:
        raise SecondaryLied(f"the signature is not valid: {error.what}", where) from error
    # An address is 20 bytes; its letter case is only a checksum of the text.
    if signer.lower() != provider.approval_address.lower():
        raise SecondaryLied(
            f"the signature is of {signer}, not of its approval key {provider.approval_address}",
            where,
        )
    return SecondaryReceipt(
        receipt.redundancy_index,
        receipt.operator_address,
        receipt.integrity_hash,
        receipt.signature,
    )
