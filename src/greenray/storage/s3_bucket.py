"""One S3 bucket as a map from keys to bytes, over s3fs: whole puts, ranged reads, listings.

s3fs takes a fraction of a second and tens of megabytes to import, so only an ``S3Bucket`` does it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from greenray.protocol.errors import GreenrayError, NoSpaceLeft, StoreError, StoreUnavailable
from greenray.storage.s3_location import S3Location

_SINGLE_PUT_BYTES = 5 * 1024**3
"""What S3 takes in one request; less is never cut into parts, which would be three requests."""

_BODY_READS = 3
"""How often an object is asked for when its bytes break off; the library repeats requests only."""

_CONNECTIONS = 32

_SET_CREDENTIALS = (
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE or pieces.profile, "
    "or run where the machine has a role"
)
_CHECK_CREDENTIALS = "Check the key, the profile or the role that they come from, and the clock"
_GRANT = "Grant s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket for it"
_SET_REGION = "Set pieces.region, or AWS_DEFAULT_REGION, to the bucket's region"

_FACTS = {
    "NoSuchBucket": ("there is no such bucket", "Create it, or correct pieces.url (pieces.bucket)"),
    "InvalidBucketName": ("no bucket can have this name", "Correct pieces.url (pieces.bucket)"),
    "AccessDenied": ("access is denied", _GRANT),
    "AllAccessDisabled": ("access is denied", _GRANT),
    "403": ("access is denied", _GRANT),
    "InvalidAccessKeyId": ("the credentials are not known", _CHECK_CREDENTIALS),
    "SignatureDoesNotMatch": ("the credentials are refused", _CHECK_CREDENTIALS),
    "RequestTimeTooSkewed": ("the clock of this machine is wrong", _CHECK_CREDENTIALS),
    "ExpiredToken": ("the credentials have expired", _CHECK_CREDENTIALS),
    "InvalidToken": ("the credentials are refused", _CHECK_CREDENTIALS),
    "PermanentRedirect": ("the bucket is in another region", _SET_REGION),
    "AuthorizationHeaderMalformed": ("the bucket is in another region", _SET_REGION),
    "301": ("the bucket is in another region", _SET_REGION),
}
"""What happened and what to do next, by S3's error code."""

_FULL = {"QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "507"}

_BUSY = {"RequestTimeout", "Throttling", "ThrottlingException", "OperationAborted"}
_BUSY_STATUSES = {408, 409, 429}


class S3Bucket:
    """Keys are relative to the location's prefix. Thread-safe.

    A put that has returned is durable, and seen by every later read and listing (S3 promises both).
    Every method raises StoreError (StoreUnavailable when S3 is away or busy, NoSpaceLeft when a
    quota is used up) that says what is wrong.
    """

    def __init__(self, location: S3Location) -> None:
        import aiohttp  # all of these are imported by the processes that use them only
        import s3fs
        from botocore import exceptions as boto
        from fsspec.asyn import sync

        self.location = location
        options = location.options
        self._root = f"{location.prefix}/" if location.prefix else ""
        kwargs = {"profile": options.profile} if options.profile else {}
        self._fs: Any = s3fs.S3FileSystem(
            endpoint_url=options.endpoint_url,
            client_kwargs={"region_name": options.region} if options.region else {},
            config_kwargs={
                # TLS and our own checksums guard the bytes; a CRC more costs a tenth of a put.
                "request_checksum_calculation": "when_required",
                "response_checksum_validation": "when_required",
                "connect_timeout": options.connect_timeout_s,
                "read_timeout": options.read_timeout_s,
                "retries": {"mode": "standard", "total_max_attempts": options.attempts},
                "max_pool_connections": _CONNECTIONS,
            },
            skip_instance_cache=True,
            use_listings_cache=False,
            **kwargs,
        )
        self._fs.retries = 1  # or each try of the layer below would be tried again
        self._wait_for = sync
        self._broken_off = (
            aiohttp.ClientPayloadError,
            boto.IncompleteReadError,
            boto.ReadTimeoutError,
            boto.ResponseStreamingError,
        )
        self._failures = (
            OSError,
            ValueError,
            aiohttp.ClientError,
            boto.BotoCoreError,
            boto.ClientError,
        )

    def put(self, key: str, data: bytes) -> None:
        """One object, in one request."""
        with self._errors(key, "store"):
            self._call(self._fs._pipe_file, self._path(key), data, chunksize=_SINGLE_PUT_BYTES)

    def get(self, key: str) -> bytes | None:
        """A whole small object; None when there is none."""
        with self._errors(key, "read"):
            return self._read(key, 0, None)

    def get_range(self, key: str, start: int, end: int) -> bytes | None:
        """Bytes ``start`` to ``end`` (exclusive) of an object that has so many."""
        with self._errors(key, "read"):
            data = self._read(key, start, end)
        if data is not None and len(data) != end - start:
            raise StoreError(
                f"{len(data)} bytes came for {start} to {end} of an object", self._where(key)
            )
        return data

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """(key, size in bytes) of all objects whose key begins so, in the order of their bytes."""
        asked = {"Bucket": self.location.bucket, "Prefix": self._root + prefix}
        while True:
            with self._errors(prefix, "list"):
                page = self._call(self._fs._call_s3, "list_objects_v2", **asked)
            for entry in page.get("Contents", ()):
                yield entry["Key"].removeprefix(self._root), int(entry["Size"])
            if not page.get("IsTruncated"):
                return
            asked["ContinuationToken"] = page["NextContinuationToken"]

    def delete(self, key: str) -> None:
        """Idempotent."""
        # One by one: the call for many needs a checksum that not every S3 accepts.
        with self._errors(key, "remove"):
            self._call(
                self._fs._call_s3,
                "delete_object",
                Bucket=self.location.bucket,
                Key=self._root + key,
            )

    # --- plumbing --------------------------------------------------------------------------------

    def _read(self, key: str, start: int, end: int | None) -> bytes | None:
        for reads_left in reversed(range(_BODY_READS)):
            try:
                data: bytes = self._call(self._fs._cat_file, self._path(key), start=start, end=end)
            except FileNotFoundError as error:
                if _code(error) == "NoSuchKey":
                    return None
                raise
            except self._broken_off:
                if not reads_left:
                    raise
            else:
                return data
        return None

    def _call(self, method: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
        """Wait for a coroutine of the library, which runs in a thread of its own."""

        async def limited() -> Any:
            # The library waits without limit for the leave to send a body.
            async with asyncio.timeout(self.location.options.request_timeout_s):
                return await method(*args, **kwargs)

        return self._wait_for(self._fs.loop, limited)

    def _path(self, key: str) -> str:
        return f"{self.location.bucket}/{self._root}{key}"

    def _where(self, key: str) -> str:
        return f"{self.location}, {key}" if key else str(self.location)

    @contextmanager
    def _errors(self, key: str, action: str) -> Iterator[None]:
        try:
            yield
        except self._failures as error:
            raise s3_error(error, self._where(key), action) from error


def s3_error(error: Exception, where: str, action: str) -> GreenrayError:
    """What a library's error means, as StoreUnavailable, NoSpaceLeft or StoreError. ``action``: an
    infinitive."""
    code = _code(error)
    if code in _FULL:
        return NoSpaceLeft(
            f"no space left to {action} an object ({code})", where, "Raise the quota"
        )
    what, next_step = _FACTS.get(code) or _fact_of(error)
    shown = f" ({code})" if code else ""
    kind = StoreUnavailable if _passes(error) else StoreError
    return kind(f"cannot {action} an object: {what}{shown}", where, next_step)


def _answer(error: Exception) -> dict[str, Any] | None:
    """S3's, from the library's error or the one beneath it; None when S3 did not answer."""
    for candidate in (error, error.__cause__):
        response = getattr(candidate, "response", None)
        if isinstance(response, dict):
            return response
    return None


def _code(error: Exception) -> str:
    """S3's code; empty when S3 did not answer."""
    return str((_answer(error) or {}).get("Error", {}).get("Code", ""))


def _passes(error: Exception) -> bool:
    """Whether S3 is away or busy, and nothing has to be corrected."""
    import aiohttp
    from botocore import exceptions as boto

    answer = _answer(error)
    if answer is not None:
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status >= 500 or status in _BUSY_STATUSES or _code(error) in _BUSY
    away = (aiohttp.ClientError, boto.ConnectionError, boto.HTTPClientError, OSError)
    return isinstance(error, (*away, boto.IncompleteReadError)) and not isinstance(
        error, boto.SSLError
    )


def _fact_of(error: Exception) -> tuple[str, str]:
    """What happened and what to do next, when S3's code (if any) tells nothing."""
    from botocore import exceptions as boto

    match error:
        case boto.NoCredentialsError():
            return "no credentials were found", _SET_CREDENTIALS
        case boto.PartialCredentialsError() | boto.CredentialRetrievalError():
            return f"the credentials are incomplete: {error}", _SET_CREDENTIALS
        case boto.ProfileNotFound():
            return str(error), "Correct pieces.profile, or AWS_PROFILE"
        case boto.ParamValidationError():
            return " ".join(str(error).split()), "Correct pieces.url (pieces.bucket)"
        case boto.ConnectionError() | boto.HTTPClientError():
            return (
                f"S3 cannot be reached: {error}",
                "Check pieces.endpoint_url (or pieces.region) and the network",
            )
        case TimeoutError():
            return "S3 did not answer in time", "Try again, or raise pieces.request_timeout_s"
        case ValueError():
            return str(error), "Correct pieces.endpoint_url"
    return str(error) or type(error).__name__, ""
