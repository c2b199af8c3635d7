"""Downloads are counted against the read quota of their bucket, and its owner may ask how much is
left (protocol 06 §1)."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiohttp import web

from greenray.actors.gateway.auth import Granted, PermissionChecks
from greenray.actors.gateway.authenticator import Authenticator
from greenray.actors.gateway.object_head import REQUEST_ID_HEADER
from greenray.actors.gateway.request_names import check_bucket_of
from greenray.actors.gateway.routes import MONTH_QUERY, RECORDS_QUERIES, Match
from greenray.protocol.errors import GreenrayError, InvalidQuery, JournalFull
from greenray.protocol.gateway_request import GatewayRequest
from greenray.protocol.go_xml import element
from greenray.protocol.objects import BucketInfo
from greenray.protocol.read_quota import (
    Read,
    ReadBucket,
    ReadRecord,
    is_far_from,
    is_month,
    next_start_us,
    records_wanted,
)
from greenray.storage.read_ledger import ReadLedger, month_of

_COUNTED_AFTER_S = 0.5
_MOST_UNCOUNTED = 1000
"""Of one bucket; then a download waits until they are counted."""
_MOST_TALLIES = 10_000

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Tally:
    """Of one bucket in one month, as this process knows it."""

    month: str
    consumed_bytes: int = 0
    uncounted: list[Read] = field(default_factory=list)
    """They have begun, and the journal does not know of them."""

    @property
    def total_bytes(self) -> int:
        return self.consumed_bytes + sum(read.size_bytes for read in self.uncounted)


class ReadMeter:
    """For all SPs of a Gateway. A commit for each download would be most of a small one: as long as
    a bucket is far from its quota they are counted together, twice a second."""

    def __init__(
        self,
        ledger: ReadLedger,
        authenticator: Authenticator,
        checks: Mapping[str, PermissionChecks],
        free_read_quota_bytes: int,
    ) -> None:
        """``checks``: by operator address."""
        self._ledger = ledger
        self._authenticator = authenticator
        self._checks = checks
        self._free_bytes = free_read_quota_bytes
        self._tallies: dict[ReadBucket, _Tally] = {}
        self._counting = asyncio.Lock()
        self._later: asyncio.Task[None] | None = None

    async def count(self, sp_address: str, granted: Granted, size_bytes: int) -> None:
        """A download of so many bytes begins. On a full disk it begins uncounted.

        Raises: QuotaExceeded, JournalError, ComponentUnavailable.
        """
        info = granted.object
        read = Read(info.id, info.object_name, granted.signer, size_bytes)
        bucket = _read_bucket(sp_address, granted.bucket)
        quota_bytes = granted.bucket.charged_read_quota + self._free_bytes
        month = month_of(time.time())
        tally = self._tallies.get(bucket)
        if (
            tally is not None
            and tally.month == month
            and len(tally.uncounted) < _MOST_UNCOUNTED
            and is_far_from(quota_bytes, tally.total_bytes + size_bytes)
        ):
            tally.uncounted.append(read)
            if self._later is None or self._later.done():
                self._later = asyncio.create_task(self._count_later())
            return
        try:
            await self.settle()
            consumed = await self._ledger.count_reads(bucket, (read,), quota_bytes)
        except JournalFull as error:
            log.warning("%d bytes of %s are not counted: %s", size_bytes, info.name, error)
            return
        if len(self._tallies) >= _MOST_TALLIES:
            self._tallies = {b: one for b, one in self._tallies.items() if one.uncounted}
        self._tallies.setdefault(bucket, _Tally(month))
        self._tallies[bucket].month = month
        self._tallies[bucket].consumed_bytes = consumed

    async def settle(self) -> None:
        """Have the journal know of all downloads that have begun. Raises JournalError,
        ComponentUnavailable; what it does not know then is kept for later."""
        async with self._counting:
            for bucket, tally in list(self._tallies.items()):  # others begin meanwhile
                if reads := tuple(tally.uncounted):
                    tally.consumed_bytes = await self._ledger.count_reads(bucket, reads, None)
                    del tally.uncounted[: len(reads)]

    async def close(self) -> None:
        """Settle what can be."""
        if self._later is not None:
            self._later.cancel()
        await self._settle_or_tell()

    async def _count_later(self) -> None:
        await asyncio.sleep(_COUNTED_AFTER_S)
        await self._settle_or_tell()

    async def _settle_or_tell(self) -> None:
        try:
            await self.settle()
        except GreenrayError as error:
            log.warning("downloads are not counted yet: %s", error)

    async def quota(self, request: GatewayRequest, match: Match) -> web.Response:
        """GetBucketReadQuota.

        Raises: Refusal, SignatureError, AccessDenied, NoSuchBucket, InvalidQuery, ChainError,
        JournalError.
        """
        bucket = await self._bucket_of_owner(request, match)
        month = request.query.value(MONTH_QUERY)
        if not is_month(month):
            raise InvalidQuery(f"{MONTH_QUERY} is no month", "", "Give one like 2023-05.")
        await self.settle()
        consumed = await self._ledger.consumed_bytes(
            _read_bucket(request.sp_address, bucket), month
        )
        return _xml_answer(
            request,
            "GetReadQuotaResult",
            element("BucketName", bucket.bucket_name),
            element("BucketID", bucket.id),
            element("ReadQuotaSize", bucket.charged_read_quota),
            element("SPFreeReadQuotaSize", self._free_bytes),
            element("ReadConsumedSize", consumed),
        )

    async def records(self, request: GatewayRequest, match: Match) -> web.Response:
        """ListBucketReadRecord. Raises what ``quota`` raises."""
        bucket = await self._bucket_of_owner(request, match)
        wanted = records_wanted(*map(request.query.value, RECORDS_QUERIES))
        await self.settle()
        records = await self._ledger.list_reads(_read_bucket(request.sp_address, bucket), wanted)
        return _xml_answer(
            request,
            "GetBucketReadQuotaResult",
            element("NextStartTimestampUs", next_start_us(records)),
            *map(_record_xml, records),
        )

    async def _bucket_of_owner(self, request: GatewayRequest, match: Match) -> BucketInfo:
        check_bucket_of(match)
        signer = await self._authenticator.signer(request)
        return await self._checks[request.sp_address].owned_bucket(signer, match.bucket_name)


def _read_bucket(sp_address: str, bucket: BucketInfo) -> ReadBucket:
    return ReadBucket(sp_address, bucket.id, bucket.bucket_name)


def _record_xml(record: ReadRecord) -> str:
    read = record.read
    return "".join(
        (
            "<ReadRecord>",
            element("ObjectName", read.object_name),
            element("ObjectID", read.object_id),
            element("ReadAccountAddress", read.account),
            element("ReadTimestampUs", record.at_us),
            element("ReadSize", read.size_bytes),
            "</ReadRecord>",
        )
    )


def _xml_answer(request: GatewayRequest, name: str, *elements: str) -> web.Response:
    return web.Response(
        body=f'<{name} version="1.0">{"".join(elements)}</{name}>'.encode(),
        content_type="application/xml",
        headers={REQUEST_ID_HEADER: request.request_id},
    )
