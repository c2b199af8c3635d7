"""Downloads are counted against the read quota of their bucket, and its owner may ask how much is
left (protocol 06 §1)."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from aiohttp import web

from greenray.actors.gateway.auth import Granted, PermissionChecks
from greenray.actors.gateway.authenticator import Authenticator
from greenray.actors.gateway.object_head import REQUEST_ID_HEADER
from greenray.actors.gateway.request_names import check_bucket_of
from greenray.actors.gateway.routes import MONTH_QUERY, RECORDS_QUERIES, Match
from greenray.protocol.errors import InvalidQuery, JournalFull
from greenray.protocol.gateway_request import GatewayRequest
from greenray.protocol.go_xml import element
from greenray.protocol.objects import BucketInfo
from greenray.protocol.read_quota import (
    Read,
    ReadBucket,
    ReadRecord,
    is_month,
    next_start_us,
    records_wanted,
)
from greenray.storage.read_ledger import ReadLedger

log = logging.getLogger(__name__)


class ReadMeter:
    """For all SPs of a Gateway."""

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

    async def count(self, sp_address: str, granted: Granted, size_bytes: int) -> None:
        """A download of so many bytes begins. On a full disk it begins uncounted.

        Raises: QuotaExceeded, JournalError, ComponentUnavailable.
        """
        bucket, info = granted.bucket, granted.object
        read = Read(info.id, info.object_name, granted.signer, size_bytes)
        quota_bytes = bucket.charged_read_quota + self._free_bytes
        try:
            await self._ledger.count_read(_read_bucket(sp_address, bucket), read, quota_bytes)
        except JournalFull as error:
            log.warning("a download of %d bytes of %s is not counted: %s", *_shown(read), error)

    async def quota(self, request: GatewayRequest, match: Match) -> web.Response:
        """GetBucketReadQuota.

        Raises: Refusal, SignatureError, AccessDenied, NoSuchBucket, InvalidQuery, ChainError,
        JournalError.
        """
        bucket = await self._bucket_of_owner(request, match)
        month = request.query.value(MONTH_QUERY)
        if not is_month(month):
            raise InvalidQuery(f"{MONTH_QUERY} is no month", "", "Give one like 2023-05.")
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


def _shown(read: Read) -> tuple[int, str]:
    return read.size_bytes, read.object_name


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
