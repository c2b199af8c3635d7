"""Looks behind an object: columns on disk, a segment from what is left, the seal transaction."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np

from greenray.chain import wire
from greenray.chain.crypto import address_of_public_key, recover_digest
from greenray.chain.dialect import Coin, Dialect, SealSignature, TransactionTerms
from greenray.chain.dialects import get_dialect
from greenray.chain.rpc.client import RpcChainClient
from greenray.chain.rpc.json_rpc import JsonRpc
from greenray.chain.rpc.settings import DEFAULT_TIMEOUT_S
from greenray.client.network_file import NetworkFile
from greenray.cluster.config.state_dir import StateDir
from greenray.coding.codec import get_codec
from greenray.coding.segments import decode_segment
from greenray.display.html_table import html_table
from greenray.protocol.errors import NoSuchJob, NoSuchPiece, StoreError
from greenray.protocol.integrity import integrity_hash
from greenray.protocol.layout import SEGMENTS, PayloadLayout
from greenray.protocol.objects import ObjectInfo
from greenray.protocol.piece_keys import piece_key, segment_key
from greenray.storage.piece_location import PieceLocation
from greenray.storage.ports import ColumnKey, PieceStore


@dataclass(frozen=True, slots=True)
class Column:
    """All pieces of one redundancy index at one SP; -1: the primary's whole segments.

    ``path`` is relative to the state directory if it is there, else absolute, or a URL.
    ``size_bytes`` of the pieces that can be read; ``missing`` are the segments whose pieces cannot.
    Those have an empty checksum, and the integrity hash is empty then as well. ``intact``: the
    integrity hash of what is stored is the one on chain.
    """

    redundancy_index: int
    operator_address: str
    path: str
    size_bytes: int
    piece_keys: tuple[str, ...]
    piece_checksums: tuple[bytes, ...]
    integrity_hash: bytes
    intact: bool
    missing: tuple[int, ...]

    @property
    def condition(self) -> str:
        """``intact`` for people."""
        if self.missing:
            return f"NO, {len(self.missing)} of {len(self.piece_keys)} are missing"
        return "yes" if self.intact else "NO"


@dataclass(frozen=True, slots=True)
class PieceTable:
    layout: PayloadLayout
    columns: tuple[Column, ...]

    def _repr_html_(self) -> str:
        layout = self.layout
        title = (
            f"{layout.payload_size_bytes:,} bytes in {layout.segment_count} segments of at most "
            f"{layout.segment_size_bytes:,}, {layout.k}+{layout.m}"
        )
        return html_table(
            title,
            ("redundancy index", "at", "file", "bytes", "pieces", "integrity hash", "intact"),
            (
                (
                    "segments" if c.redundancy_index == SEGMENTS else c.redundancy_index,
                    f"{c.operator_address[:10]}...",
                    c.path,
                    f"{c.size_bytes:,}",
                    f"{c.piece_keys[0]} ... {c.piece_keys[-1]}",
                    f"{c.integrity_hash.hex()[:16]}..." if c.integrity_hash else "",
                    c.condition,
                )
                for c in self.columns
            ),
        )


@dataclass(frozen=True, slots=True)
class RebuiltSegment:
    """``same``: it is, byte for byte, the segment in the primary's store. ``missing``: redundancy
    indices whose piece could not be read, with ``SEGMENTS`` (-1) for the primary's segment."""

    segment: int
    payload: bytes = field(repr=False)
    lost: tuple[int, ...]
    read: tuple[int, ...]
    same: bool
    missing: tuple[int, ...]

    def _repr_html_(self) -> str:
        primarys = "the same bytes" if self.same else "OTHER bytes"
        missing = [index for index in self.missing if index != SEGMENTS]
        rows = (
            ("redundancy indices lost", ", ".join(map(str, self.lost)) or "none"),
            ("not there", ", ".join(map(str, missing)) or "none"),
            ("read", ", ".join(map(str, self.read))),
            ("bytes", f"{len(self.payload):,}"),
            ("SHA-256", sha256(self.payload).hexdigest()),
            ("the primary's segment", "missing" if SEGMENTS in self.missing else primarys),
        )
        return html_table(f"segment {self.segment}, rebuilt", ("", ""), rows)


@dataclass(frozen=True, slots=True)
class SealTransaction:
    """A MsgSealObject in a block. ``fee_amount`` in 10**-18 BNB.

    ``signer_address`` is recovered from the signature; ``signatures`` are those of the secondaries,
    in index order.
    """

    tx_hash: str
    height: int
    message: Any
    chain_id: str
    account_number: int
    sequence: int
    gas_limit: int
    fee_amount: int
    timeout_height: int
    eip712_digest: bytes
    signature: bytes
    signer_address: str
    signatures: tuple[SealSignature, ...]

    @property
    def approved_by(self) -> tuple[str, ...]:
        """Approval addresses, recovered from the secondaries' signatures, in index order."""
        return tuple(one.signer_address for one in self.signatures)

    def _repr_html_(self) -> str:
        message = self.message
        rows: list[tuple[str, object, str]] = [
            ("hash", self.tx_hash, "SHA-256 of the bytes"),
            ("block", self.height, ""),
            ("operator", message.operator, "the primary's seal address"),
            ("bucket_name", message.bucket_name, ""),
            ("object_name", message.object_name, ""),
        ]
        for index, one in enumerate(self.signatures):
            signed = f"{one.signature.hex()[:16]}... signed by {one.signer_address}"
            rows.append((f"secondary {index}", one.operator_address, signed))
        rows += [
            ("sequence", self.sequence, f"of account {self.account_number}, the nonce"),
            ("gas_limit", self.gas_limit, ""),
            ("fee", self.fee_amount, "10^-18 BNB"),
            ("timeout_height", self.timeout_height, "in no block after this one"),
            ("EIP-712 digest", self.eip712_digest.hex(), f"for chain {self.chain_id}"),
            ("signature", f"{self.signature.hex()[:32]}...", f"of {self.signer_address}"),
        ]
        return html_table("MsgSealObject", ("field", "value", ""), rows)


class Inspector:
    """Reads the chain, and the piece stores of hosted SPs."""

    def __init__(
        self,
        chain: RpcChainClient,
        rpc: JsonRpc,
        dialect: Dialect,
        state: StateDir,
        pieces: PieceLocation,
    ) -> None:
        self._chain = chain
        self._rpc = rpc
        self._dialect = dialect
        self._state = state
        self._pieces = pieces
        self._stores: dict[str, PieceStore] = {}

    @classmethod
    async def open(
        cls, connections: AsyncExitStack, found: NetworkFile, state: StateDir
    ) -> Inspector:
        dialect = get_dialect(found.dialect)
        chain = RpcChainClient(found.chain_endpoint, dialect)
        connections.push_async_callback(chain.close)
        rpc = JsonRpc(found.chain_endpoint, DEFAULT_TIMEOUT_S)
        connections.push_async_callback(rpc.close)
        return cls(chain, rpc, dialect, state, found.pieces)

    # --- pieces ----------------------------------------------------------------------------------

    async def pieces(self, bucket_name: str, object_name: str) -> PieceTable:
        """Raises NoSuchObject, NoSuchPiece (it is not sealed)."""
        info, layout, holders = await self._placed(bucket_name, object_name)
        columns = [
            await asyncio.to_thread(self._column, info, layout, index, holder)
            for index, holder in holders.items()
        ]
        return PieceTable(layout, tuple(columns))

    async def rebuild_segment(
        self, bucket_name: str, object_name: str, segment: int, lost: tuple[int, ...]
    ) -> RebuiltSegment:
        """Raises NoSuchObject, NoSuchPiece (it is not sealed), TooFewShards, InvalidInput."""
        info, layout, holders = await self._placed(bucket_name, object_name)
        return await asyncio.to_thread(self._rebuild, info, layout, holders, segment, lost)

    async def _placed(
        self, bucket_name: str, object_name: str
    ) -> tuple[ObjectInfo, PayloadLayout, dict[int, str]]:
        """The object, its layout, and the SP that holds each redundancy index."""
        info = await self._chain.head_object(bucket_name, object_name)
        bucket = await self._chain.head_bucket(bucket_name)
        layout = PayloadLayout.of(info, await self._chain.storage_params())
        holders = {SEGMENTS: bucket.primary_sp_address}
        holders |= dict(enumerate(info.secondary_sp_addresses))
        if len(holders) != 1 + layout.n:
            raise NoSuchPiece("the object is not sealed", info.name, "Wait until it is sealed")
        return info, layout, holders

    def _store(self, operator_address: str) -> PieceStore:
        """Raises NoSuchPiece."""
        if operator_address not in self._stores:
            self._stores[operator_address] = self._pieces.open_existing(operator_address)
        return self._stores[operator_address]

    def _read(
        self, info: ObjectInfo, layout: PayloadLayout, index: int, holder: str, segment: int
    ) -> bytes | None:
        """None when it is missing. Raises InvalidInput: the object has no such segment."""
        key, column = ColumnKey(info.id, index), layout.column(index)
        try:
            return self._store(holder).read_piece(key, column, segment)
        except (NoSuchPiece, StoreError):
            return None

    def _column(self, info: ObjectInfo, layout: PayloadLayout, index: int, holder: str) -> Column:
        key, segments = ColumnKey(info.id, index), range(layout.segment_count)
        checksums: list[bytes] = []
        size_bytes = 0
        for segment in segments:
            piece = self._read(info, layout, index, holder, segment)
            checksums.append(b"" if piece is None else sha256(piece).digest())
            size_bytes += len(piece or b"")
        missing = tuple(segment for segment in segments if not checksums[segment])
        digest = b"" if missing else integrity_hash(checksums)
        whole = index == SEGMENTS or layout.replica
        return Column(
            redundancy_index=index,
            operator_address=holder,
            path=self._pieces.place(holder, key).removeprefix(f"{self._state.root}/"),
            size_bytes=size_bytes,
            piece_keys=tuple(
                segment_key(info.id, i) if whole else piece_key(info.id, i, index) for i in segments
            ),
            piece_checksums=tuple(checksums),
            integrity_hash=digest,
            intact=digest == info.checksums[index + 1],
            missing=missing,
        )

    def _rebuild(
        self,
        info: ObjectInfo,
        layout: PayloadLayout,
        holders: dict[int, str],
        segment: int,
        lost: Sequence[int],
    ) -> RebuiltSegment:
        pieces: dict[int, bytes] = {}
        missing: list[int] = []
        for index in range(layout.n):
            if index in lost or len(pieces) == layout.data_columns:
                continue
            piece = self._read(info, layout, index, holders[index], segment)
            if piece is None:
                missing.append(index)
            else:
                pieces[index] = piece
        payload = _joined(layout, segment, pieces)
        stored = self._read(info, layout, SEGMENTS, holders[SEGMENTS], segment)
        if stored is None:
            missing.insert(0, SEGMENTS)
        return RebuiltSegment(
            segment, payload, tuple(lost), tuple(pieces), payload == stored, tuple(missing)
        )

    # --- the transaction -------------------------------------------------------------------------

    async def seal_transaction(self, name: str, tx_hash: str | None) -> SealTransaction:
        """Raises NoSuchJob, ChainError."""
        if tx_hash is None:
            raise NoSuchJob("no seal transaction is known of it", name, "Wait until it is sealed")
        asked = {"hash": base64.b64encode(bytes.fromhex(tx_hash)).decode(), "prove": False}
        answer = await self._rpc.request("tx", asked)
        raw = wire.decode(wire.tx.TxRaw, base64.b64decode(answer["tx"]))
        body = wire.decode(wire.tx.TxBody, raw.body_bytes)
        auth_info = wire.decode(wire.tx.AuthInfo, raw.auth_info_bytes)
        packed = body.messages[0]
        message = self._dialect.decode_message(packed.type_url, packed.value)
        account = await self._chain.account(self._dialect.signer_address(message))
        info = await self._chain.head_object(message.bucket_name, message.object_name)
        fee = auth_info.fee
        terms = TransactionTerms(
            chain_id=await self._chain.chain_id(),
            account_number=account.account_number,
            sequence=auth_info.signer_infos[0].sequence,
            gas_limit=fee.gas_limit,
            fee=tuple(Coin(coin.denom, int(coin.amount)) for coin in fee.amount),
            fee_payer=fee.payer,
            timeout_height=body.timeout_height,
        )
        digest = self._dialect.eip712_digest(message, terms)
        return SealTransaction(
            tx_hash=tx_hash,
            height=int(answer["height"]),
            message=message,
            chain_id=terms.chain_id,
            account_number=terms.account_number,
            sequence=terms.sequence,
            gas_limit=terms.gas_limit,
            fee_amount=sum(coin.amount for coin in terms.fee),
            timeout_height=terms.timeout_height,
            eip712_digest=digest,
            signature=raw.signatures[0],
            signer_address=address_of_public_key(recover_digest(digest, raw.signatures[0])),
            signatures=self._dialect.secondaries.seal_signatures(message, info),
        )


def _joined(layout: PayloadLayout, segment: int, pieces: Mapping[int, bytes]) -> bytes:
    """The segment from pieces by redundancy index. Raises TooFewShards."""
    if layout.replica and pieces:
        return next(iter(pieces.values()))
    shards: list[Any] = [None] * layout.n
    for index, piece in pieces.items():
        shards[index] = np.frombuffer(piece, np.uint8)
    length = layout.segment_length(segment)
    needed = layout.data_columns
    return decode_segment(shards, length, needed, layout.n - needed, get_codec()).tobytes()
