"""Blocks as values: headers, hashes, and their JSON (protocol 05 §6).

One validator that never signs for real: hashes are computed as CometBFT computes them, the
validator's key, its signatures and the random mix are derived from the chain id and the height.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from greenray.chain import wire

BLOCK_PROTOCOL = 11
_NS_PER_S = 1_000_000_000
_COMMIT_FLAG = 2


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


EMPTY_HASH = sha256(b"")
CONSENSUS_HASH = bytes.fromhex("048091bc7ddc283f77bfbf91d73c44da58c3df8a9cbc867405d8b7f3daada22f")


def merkle_root(items: Sequence[bytes]) -> bytes:
    """RFC 6962 tree: leaves are prefixed with 0, inner nodes with 1."""
    if not items:
        return EMPTY_HASH
    if len(items) == 1:
        return sha256(b"\x00" + items[0])
    split = 1 << ((len(items) - 1).bit_length() - 1)
    return sha256(b"\x01" + merkle_root(items[:split]) + merkle_root(items[split:]))


def merkle_aunts(items: Sequence[bytes], index: int) -> list[bytes]:
    """The sibling hashes that prove ``items[index]``, from the leaf up."""
    if len(items) <= 1:
        return []
    split = 1 << ((len(items) - 1).bit_length() - 1)
    if index < split:
        return [*merkle_aunts(items[:split], index), merkle_root(items[split:])]
    return [*merkle_aunts(items[split:], index - split), merkle_root(items[:split])]


class Validator:
    """The validator of a chain: a public key that is only a number, and its address."""

    def __init__(self, chain_id: str) -> None:
        self.public_key = sha256(b"validator of " + chain_id.encode())
        self.address = sha256(self.public_key)[:20]
        self.set_hash = merkle_root([self.public_key])

    def signature(self, height: int) -> bytes:
        """64 bytes that look like a signature and are none."""
        seed = self.public_key + height.to_bytes(8, "big")
        return sha256(seed) + sha256(seed + b"s")


def make_block(
    *,
    chain_id: str,
    height: int,
    time_ns: int,
    validator: Validator,
    previous: Any | None,
    previous_hash: bytes,
    app_hash: bytes,
    last_results_hash: bytes,
    transactions: Sequence[bytes],
) -> Any:
    """A tendermint.types.Block. ``app_hash`` and ``last_results_hash`` are those after the
    previous block; ``previous`` is None for the first."""
    last_id = block_id(previous, previous_hash) if previous is not None else None
    last_commit = wire.tendermint_types.Commit()
    if previous is not None:
        last_commit.height = height - 1
        last_commit.block_id.CopyFrom(last_id)
        last_commit.signatures.add(
            block_id_flag=_COMMIT_FLAG,
            validator_address=validator.address,
            timestamp=_timestamp(time_ns),
            signature=validator.signature(height - 1),
        )
    header = wire.tendermint_types.Header(
        chain_id=chain_id,
        height=height,
        time=_timestamp(time_ns),
        last_block_id=last_id or wire.tendermint_types.BlockID(),
        last_commit_hash=merkle_root([s.SerializeToString() for s in last_commit.signatures]),
        data_hash=merkle_root([sha256(tx) for tx in transactions]),
        validators_hash=validator.set_hash,
        next_validators_hash=validator.set_hash,
        consensus_hash=CONSENSUS_HASH,
        app_hash=app_hash,
        last_results_hash=last_results_hash,
        evidence_hash=EMPTY_HASH,
        proposer_address=validator.address,
        randao_mix=validator.signature(height),
    )
    header.version.block = BLOCK_PROTOCOL
    return wire.tendermint_types.Block(
        header=header,
        data=wire.tendermint_types.Data(txs=transactions),
        evidence=wire.tendermint_types.EvidenceList(),
        last_commit=last_commit,
    )


def header_hash(header: Any) -> bytes:
    """The hash of a block: the tree over its header's encoded fields."""
    height = wire.tendermint_types.Commit(height=header.height).SerializeToString()
    byte_fields = (
        header.last_commit_hash,
        header.data_hash,
        header.validators_hash,
        header.next_validators_hash,
        header.consensus_hash,
        header.app_hash,
        header.last_results_hash,
        header.evidence_hash,
        header.proposer_address,
        header.randao_mix,
    )
    return merkle_root(
        [
            header.version.SerializeToString(),
            _bytes_value(header.chain_id.encode()),
            height,
            header.time.SerializeToString(),
            header.last_block_id.SerializeToString(),
            *(_bytes_value(value) for value in byte_fields),
        ]
    )


def block_id(block: Any, block_hash: bytes) -> Any:
    """A tendermint.types.BlockID; a block is always one part."""
    identity = wire.tendermint_types.BlockID(hash=block_hash)
    identity.part_set_header.total = 1
    identity.part_set_header.hash = merkle_root([block.SerializeToString()])
    return identity


def time_ns_of(header: Any) -> int:
    return int(header.time.seconds * _NS_PER_S + header.time.nanos)


def time_text(time_ns: int) -> str:
    """RFC 3339 in UTC with nanoseconds, trailing zeros cut, as Go prints it."""
    seconds, nanos = divmod(time_ns, _NS_PER_S)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f".{nanos:09d}".rstrip("0") if nanos else ""
    return f"{text}{fraction}Z"


# --- JSON --------------------------------------------------------------------------------------


def hex_text(data: bytes) -> str:
    return data.hex().upper()


def base64_text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def block_id_json(identity: Any) -> dict[str, Any]:
    parts = identity.part_set_header
    return {
        "hash": hex_text(identity.hash),
        "parts": {"total": parts.total, "hash": hex_text(parts.hash)},
    }


def header_json(header: Any) -> dict[str, Any]:
    version = {"block": str(header.version.block)}
    if header.version.app:
        version["app"] = str(header.version.app)
    return {
        "version": version,
        "chain_id": header.chain_id,
        "height": str(header.height),
        "time": time_text(time_ns_of(header)),
        "last_block_id": block_id_json(header.last_block_id),
        "last_commit_hash": hex_text(header.last_commit_hash),
        "data_hash": hex_text(header.data_hash),
        "validators_hash": hex_text(header.validators_hash),
        "next_validators_hash": hex_text(header.next_validators_hash),
        "consensus_hash": hex_text(header.consensus_hash),
        "app_hash": hex_text(header.app_hash),
        "last_results_hash": hex_text(header.last_results_hash),
        "evidence_hash": hex_text(header.evidence_hash),
        "proposer_address": hex_text(header.proposer_address),
        "randao_mix": hex_text(header.randao_mix),
    }


def commit_json(commit: Any) -> dict[str, Any]:
    return {
        "height": str(commit.height),
        "round": commit.round,
        "block_id": block_id_json(commit.block_id),
        "signatures": [
            {
                "block_id_flag": signature.block_id_flag,
                "validator_address": hex_text(signature.validator_address),
                "timestamp": time_text(
                    signature.timestamp.seconds * _NS_PER_S + signature.timestamp.nanos
                ),
                "signature": base64_text(signature.signature),
            }
            for signature in commit.signatures
        ],
    }


def block_json(block: Any) -> dict[str, Any]:
    return {
        "header": header_json(block.header),
        "data": {"txs": [base64_text(tx) for tx in block.data.txs]},
        "evidence": {"evidence": []},
        "last_commit": commit_json(block.last_commit),
    }


def _timestamp(time_ns: int) -> Any:
    seconds, nanos = divmod(time_ns, _NS_PER_S)
    return wire.protobuf.Timestamp(seconds=seconds, nanos=nanos)


def _bytes_value(value: bytes) -> bytes:
    """The encoding of a wrapper message whose field 1 is ``value``."""
    if not value:
        return b""
    encoded: bytes = wire.ethsecp256k1.PubKey(key=value).SerializeToString()
    return encoded
