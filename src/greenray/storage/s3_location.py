"""Pieces in a bucket: ``s3://bucket/prefix``."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar
from urllib.parse import SplitResult, quote, unquote

from annotated_types import Ge, Gt

from greenray.protocol.errors import InvalidSetting
from greenray.storage.piece_location import Reach

if TYPE_CHECKING:
    from greenray.storage.ports import ColumnKey, PieceStore

PREFIX_PATTERN = r"^([^/]+(/[^/]+)*)?$"


@dataclass(frozen=True, slots=True)
class S3Options:
    """How to reach a bucket.

    Credentials and what is None here come from where AWS tools look: environment, profile, the
    machine's role.
    """

    endpoint_url: str | None = None
    """Of an S3 that is not Amazon's; None: Amazon's, or AWS_ENDPOINT_URL."""
    region: str | None = None
    """Of the bucket; None: AWS_DEFAULT_REGION, or the profile's."""
    profile: str | None = None
    """Whose credentials are used; None: those of the environment, else of the machine's role."""
    attempts: Annotated[int, Ge(1)] = 5
    """Tries of one request to S3, with growing pauses."""
    connect_timeout_s: Annotated[float, Gt(0)] = 5.0
    """For a connection to S3."""
    read_timeout_s: Annotated[float, Gt(0)] = 30.0
    """How long an answer of S3 may be silent."""
    request_timeout_s: Annotated[float, Gt(0)] = 120.0
    """For one request to S3 with all its tries and bytes."""


@dataclass(frozen=True, slots=True)
class S3Location:
    """Implements ``greenray.storage.piece_location.PieceLocation``: a prefix for each SP in a
    bucket that is there already."""

    scheme: ClassVar[str] = "s3"
    example: ClassVar[str] = "s3://BUCKET/PREFIX"
    options_type: ClassVar[type[S3Options]] = S3Options

    bucket: str
    prefix: str = ""
    """Without a slash at either end."""
    options: S3Options = field(default_factory=S3Options)

    @classmethod
    def at(cls, url: SplitResult, options: S3Options, durable: bool) -> S3Location:
        if "@" in url.netloc:
            raise InvalidSetting(
                "credentials do not belong into the URL",
                "pieces.url",
                "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or pieces.profile",
            )
        if ":" in url.netloc:
            raise InvalidSetting(
                f"{url.netloc!r} is no name of a bucket",
                "pieces.url",
                "Write s3://BUCKET/PREFIX, and the server in pieces.endpoint_url",
            )
        if not url.netloc:
            raise InvalidSetting("the bucket is missing", "pieces.url", "Write s3://BUCKET/PREFIX")
        prefix = unquote(url.path).removeprefix("/").removesuffix("/")
        if not re.match(PREFIX_PATTERN, prefix):
            raise InvalidSetting(
                f"the prefix {prefix!r} has an empty part", "pieces.url", "Write s3://BUCKET/PREFIX"
            )
        # Keys are no paths: some servers take these for other keys, some refuse them.
        for part in {".", ".."}.intersection(prefix.split("/")):
            raise InvalidSetting(
                f"the prefix {prefix!r} has a part {part!r}", "pieces.url", f"Write {cls.example}"
            )
        return cls(unquote(url.netloc), prefix, options)

    @property
    def url(self) -> str:
        return f"s3://{quote(self.bucket, safe='')}/{quote(self.prefix)}"

    @property
    def durable(self) -> bool:
        return True

    @property
    def reach(self) -> Reach:
        return Reach.CLUSTER

    def __str__(self) -> str:
        at = f" at {self.options.endpoint_url}" if self.options.endpoint_url else ""
        return f"s3://{self.bucket}/{self.prefix}{at}"

    def open(self, served: Collection[str]) -> dict[str, PieceStore]:
        from greenray.storage.s3_bucket import S3Bucket
        from greenray.storage.s3_store import S3PieceStore

        bucket = S3Bucket(self)
        return {sp: S3PieceStore(bucket, sp.lower()) for sp in served}

    def open_existing(self, sp_address: str) -> PieceStore:
        return self.open((sp_address,))[sp_address]

    def place(self, sp_address: str, key: ColumnKey) -> str:
        """The URL of its record."""
        from greenray.storage.s3_names import finished_key

        prefix = f"{self.prefix}/" if self.prefix else ""
        return f"s3://{self.bucket}/{prefix}{sp_address.lower()}/{finished_key(key)}"

    def probe(self) -> None:
        self.open(("probe",))["probe"].probe()
