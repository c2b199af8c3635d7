"""Looks behind an object: columns on disk, a segment from what is left, the seal transaction."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
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
from greenray.protocol.errors import NoSuchJob, NoSuchPiece
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
    ``intact``: the integrity hash of what is stored is the one on chain.
    """

    redundancy_index: int
    operator_address: str
    path: str
    size_bytes: int
    piece_keys: tuple[str, ...]
    piece_checksums: tuple[bytes, ...]
    integrity_hash: bytes
    intact: bool


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
                    f"{c.integrity_hash.hex()[:16]}...",
                    "yes" if c.intact else "NO",
                )
                for c in self.columns
            ),
        )


@dataclass(frozen=True, slots=True)
class RebuiltSegment:
    """``same``: it is, byte for byte, the segment in the primary's store."""

    segment: int
    payload: bytes = field(repr=False)
    lost: tuple[int, ...]
    read: tuple[int, ...]
    same: bool

    def _repr_html_(self) -> str:
        rows = (
            ("redundancy indices lost", ", ".join(map(str, self.lost)) or "none"),
            ("read", ", ".join(map(str, self.read))),
            ("bytes", f"{len(self.payload):,}"),
            ("SHA-256", sha256(self.payload).hexdigest()),
            ("the primary's segment", "the same bytes" if self.same else "OTHER bytes"),
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
        """Raises NoSuchObject, NoSuchPiece."""
        info, layout, holders = await self._placed(bucket_name, object_name)
        columns = [
            await asyncio.to_thread(self._column, info, layout, index, holder)
            for index, holder in holders.items()
        ]
        return PieceTable(layout, tuple(columns))

    async def rebuild_segment(
        self, bucket_name: str, object_name: str, segment: int, lost: tuple[int, ...]
    ) -> RebuiltSegment:
        """Raises NoSuchObject, NoSuchPiece, TooFewShards, InvalidInput."""
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

    def _column(self, info: ObjectInfo, layout: PayloadLayout, index: int, holder: str) -> Column:
        key, pieces = ColumnKey(info.id, index), layout.column(index)
        store = self._store(holder)
        checksums = tuple(
            sha256(store.read_piece(key, pieces, i)).digest() for i in range(pieces.piece_count)
        )
        digest = integrity_hash(checksums)
        place = self._pieces.place(holder, key)
        whole = index == SEGMENTS or layout.replica
        return Column(
            redundancy_index=index,
            operator_address=holder,
            path=place.removeprefix(f"{self._state.root}/"),
            size_bytes=pieces.size_bytes,
            piece_keys=tuple(
                segment_key(info.id, i) if whole else piece_key(info.id, i, index)
                for i in range(pieces.piece_count)
            ),
            piece_checksums=checksums,
            integrity_hash=digest,
            intact=digest == info.checksums[index + 1],
        )

    def _rebuild(
        self,
        info: ObjectInfo,
        layout: PayloadLayout,
        holders: dict[int, str],
        segment: int,
        lost: Sequence[int],
    ) -> RebuiltSegment:
        def piece(index: int) -> bytes:
            key, column = ColumnKey(info.id, index), layout.column(index)
            return self._store(holders[index]).read_piece(key, column, segment)

        length = layout.segment_length(segment)
        kept = [index for index in range(layout.n) if index not in lost]
        if layout.replica:
            read = kept[:1]
            payload = piece(read[0]) if read else b""
        else:
            read = kept[: layout.k]
            shards: list[Any] = [None] * layout.n
            for index in read:
                shards[index] = np.frombuffer(piece(index), np.uint8)
            payload = decode_segment(shards, length, layout.k, layout.m, get_codec()).tobytes()
        return RebuiltSegment(
            segment, payload, tuple(lost), tuple(read), payload == piece(SEGMENTS)
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
