"""The embedded chain as a process, and objects on it that wait for their seals."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

from greenray.bench.pipelined_sender import PipelinedSender
from greenray.chain import crypto
from greenray.chain.dialect import NEVER_EXPIRES, Dialect
from greenray.chain.dialects import get_dialect
from greenray.chain.keystore import KeyRing
from greenray.chain.rpc.client import RpcChainClient
from greenray.cluster.config.settings import ChainSection
from greenray.cluster.local_chain import keys as local_keys
from greenray.cluster.local_chain.genesis import write_local_genesis
from greenray.cluster.local_chain.process import ChainOptions, ChainProcess
from greenray.protocol.errors import ChainAnswerInvalid
from greenray.protocol.integrity import UnverifiedReceipt
from greenray.protocol.job import SecondaryReceipt
from greenray.protocol.objects import (
    ObjectInfo,
    ObjectStatus,
    RedundancyType,
    StorageParams,
    StorageProvider,
    Visibility,
)

_SPS = 8
"""One primary for each side of the comparison; the others are secondaries of both."""


class SealWorld:
    """A chain with a user whose buckets are ``bucket-0`` (of SP 0) and ``bucket-1`` (of SP 1)."""

    def __init__(self, process: ChainProcess, keys: KeyRing, dialect: Dialect) -> None:
        self.chain_pid = process.pid
        self.chain = RpcChainClient(process.endpoint, dialect)
        self.keys = keys
        self.dialect = dialect
        user_key = keys.user_key(local_keys.USER_KEY_NAME)
        self._user = PipelinedSender(self.chain, dialect, user_key)
        self.params = StorageParams()
        self._providers: dict[str, StorageProvider] = {}
        self._numbers = count()

    @classmethod
    @asynccontextmanager
    async def opened(cls, root: Path, settings: ChainSection) -> AsyncIterator[SealWorld]:
        """Raises ChainUnavailable, InvalidInput."""
        keys_file, genesis_file = root / "keys.json", root / "genesis.json"
        endpoints = ["http://127.0.0.1:1"] * _SPS
        write_local_genesis(
            keys_file, genesis_file, endpoints, settings.dialect, settings.genesis_params
        )
        options = ChainOptions(
            home=root / "chain",
            genesis=genesis_file,
            port=0,
            block_interval_s=settings.block_interval_s,
            dialect=settings.dialect,
            log_file=root / "chain.log",
        )
        process = await ChainProcess.start(options)
        try:
            keys = KeyRing.open(keys_file, os.environ)
            world = cls(process, keys, get_dialect(settings.dialect))
            try:
                await world._prepare()
                yield world
            finally:
                await world.chain.close()
        finally:
            await process.stop()

    async def _prepare(self) -> None:
        self.params = await self.chain.storage_params()
        self._providers = {p.operator_address: p for p in await self.chain.storage_providers()}
        buckets = [
            self._approved(
                self.dialect.create_bucket_message(
                    self._user.address,
                    f"bucket-{side}",
                    self.primary(side),
                    Visibility.VISIBILITY_TYPE_PRIVATE,
                ),
                side,
            )
            for side in (0, 1)
        ]
        await self._user.send(await self._user.signed(buckets))

    def primary(self, side: int) -> str:
        """Its operator address."""
        return self.keys.sp_addresses[side]

    async def created_objects(self, side: int, objects: int) -> list[ObjectInfo]:
        """New ones in the bucket of that side. Raises TransactionRefused, ChainError."""
        bucket_name = f"bucket-{side}"
        names = [f"object-{next(self._numbers)}" for _ in range(objects)]
        checksums = tuple(sha256(bytes([i])).digest() for i in range(self.params.n + 1))
        messages = [
            self._approved(
                self.dialect.create_object_message(
                    self._user.address,
                    bucket_name,
                    name,
                    payload_size=5,
                    visibility=Visibility.VISIBILITY_TYPE_INHERIT,
                    content_type="text/plain",
                    expect_checksums=checksums,
                    redundancy_type=RedundancyType.REDUNDANCY_EC_TYPE,
                ),
                side,
            )
            for name in names
        ]
        await self._user.send(await self._user.signed(messages))
        found = await asyncio.gather(*(self.chain.head_object(bucket_name, name) for name in names))
        return list(found)

    def secondaries(self, side: int) -> list[str]:
        """Operator addresses: the last k + m SPs beside the primary."""
        others = [sp for sp in self.keys.sp_addresses if sp != self.primary(side)]
        return others[-self.params.n :]

    def receipts(self, side: int, info: ObjectInfo) -> tuple[SecondaryReceipt, ...]:
        """Of ``secondaries``, in index order."""
        return tuple(
            self._receipt(info, index, sp) for index, sp in enumerate(self.secondaries(side))
        )

    def _receipt(self, info: ObjectInfo, index: int, sp: str) -> SecondaryReceipt:
        rules, checksum = self.dialect.secondaries, info.checksums[index + 1]
        sign_bytes = rules.receipt_sign_bytes(sp, info.id, checksum)
        signature = crypto.sign_bytes(self.keys.approval_key(sp), sign_bytes)
        receipt = UnverifiedReceipt(index, sp, checksum, signature)
        return rules.verify_receipt(receipt, info, self._providers[sp])

    def seal_sender(self, side: int) -> PipelinedSender:
        return PipelinedSender(self.chain, self.dialect, self.keys.seal_key(self.primary(side)))

    async def check_sealed(self, side: int, infos: Sequence[ObjectInfo]) -> None:
        """Raises ChainAnswerInvalid: an object is not SEALED, or with other secondaries."""
        all_found = await asyncio.gather(
            *(self.chain.head_object(info.bucket_name, info.object_name) for info in infos)
        )
        for info, found in zip(infos, all_found, strict=True):
            expected = tuple(self.secondaries(side))
            if (
                found.object_status is not ObjectStatus.OBJECT_STATUS_SEALED
                or found.secondary_sp_addresses != expected
            ):
                raise ChainAnswerInvalid("an object is not sealed as it must be", info.name)

    def _approved(self, message: Any, side: int) -> Any:
        key = self.keys.approval_key(self.primary(side))
        digest = crypto.keccak256(self.dialect.approval_sign_bytes(message))
        return self.dialect.with_approval(message, NEVER_EXPIRES, crypto.sign_digest(key, digest))
