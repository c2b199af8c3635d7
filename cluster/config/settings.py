"""The application's settings; ``greenray.cluster.config.settings_loading`` reads them.

What an actor is told is told by the actor's settings, in ``greenray.actors``; here is which section
it belongs to. What concerns the whole network is told here. Consensus parameters are not here: they
are read from the chain. Every default works with no file. docs/settings.md is made from this module
(``python -m scripts.settings_table``).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from greenray.actors.chain_view.settings import PatienceSettings
from greenray.actors.collector.settings import CollectorSettings
from greenray.actors.credit.settings import LendingSettings
from greenray.actors.downloader.settings import DownloaderSettings
from greenray.actors.gateway.settings import GatewaySettings
from greenray.actors.p2p.settings import P2PSettings
from greenray.actors.receiver.settings import ReceiverSettings
from greenray.actors.replication.settings import (
    HttpSettings,
    InClusterSettings,
    ReplicationSettings,
)
from greenray.actors.scrubber.settings import ScrubberSettings
from greenray.actors.settings import MIB, PositiveSeconds
from greenray.actors.signer.settings import QueueSettings, WatchSettings
from greenray.actors.task_node.settings import DriverSettings, TaskNodeSettings
from greenray.actors.uploader.settings import UploaderSettings
from greenray.chain.dialects import DEFAULT_DIALECT, check_dialect
from greenray.chain.local.ledger.params import chain_params
from greenray.chain.rpc.settings import FollowSettings, RpcSettings
from greenray.cluster.config.told_settings import with_settings_of
from greenray.cluster.supervision.settings import SupervisionSettings
from greenray.logs.settings import LogSettings
from greenray.protocol.errors import InvalidInput, InvalidSetting
from greenray.protocol.layout import DEFAULT_BATCH_SEGMENTS
from greenray.protocol.objects import providers_needed
from greenray.storage.file_location import FileLocation, FileOptions
from greenray.storage.piece_kinds import PIECE_KINDS, piece_location
from greenray.storage.piece_location import PieceLocation
from greenray.storage.s3_location import PREFIX_PATTERN, S3Location, S3Options

VARIABLE_PREFIX = "GREENRAY_"
VARIABLE_SEPARATOR = "__"

Port = Annotated[int, Field(ge=0, le=65535)]
_HOST_NAME = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*")


def _known_dialect(name: str) -> str:
    try:
        check_dialect(name)
    except InvalidSetting as error:
        raise ValueError(f"{error.what}. {error.next_step}") from error
    return name


def _host_name(text: str) -> str:
    name = text.lower()
    if name and not _HOST_NAME.fullmatch(name):
        raise ValueError("Not a host name; give one like gnfd.example.org, without scheme and port")
    return name


Domain = Annotated[str, AfterValidator(_host_name)]


class _Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


@with_settings_of(PatienceSettings, names=["blocks", "limit_s", "poll_interval_s"])
class PatienceSection(_Section):
    """How long what is said about an object may be ahead of the chain that one sees."""


@with_settings_of(RpcSettings, names=["timeout_s", "max_answer_bytes"])
@with_settings_of(FollowSettings, names=["confirm_every_s", "lag_patience_s"])
@with_settings_of(QueueSettings, names=["seal_timeout_blocks", "settle_blocks", "send_tries"])
@with_settings_of(WatchSettings, names=["poll_interval_s", "resend_after_blocks"])
class ChainSection(_Section):
    """The embedded chain, or an existing node."""

    endpoint: str | None = None
    """URL of an existing node; None starts the embedded chain."""
    keys: Path | None = None
    """For an existing node: a directory of keystores (password in GREENRAY_KEY_PASSWORD), or a JSON
    file of test keys; without it GREENRAY_KEY_SP_0_OPERATOR, _SEAL, _APPROVAL and so on."""
    port: Port = 26750
    """Of the embedded chain; 0 takes any free one."""
    block_interval_s: PositiveSeconds = 0.5
    """Time between two blocks of the embedded chain."""
    genesis_params: dict[str, int | str | bool] = {}
    """Consensus parameters that a new embedded chain starts with, e.g. max_segment_size."""
    dialect: Annotated[str, AfterValidator(_known_dialect)] = DEFAULT_DIALECT
    """The wire dialect that the chain speaks."""
    patience: PatienceSection = PatienceSection()


@with_settings_of(GatewaySettings, names=["idle_timeout_s", "keepalive_timeout_s"])
@with_settings_of(
    GatewaySettings,
    names=["max_connections", "max_connections_per_address"],
)
@with_settings_of(
    GatewaySettings,
    names=["max_head_bytes", "max_request_line_bytes", "head_timeout_s", "heads_budget_bytes"],
)
@with_settings_of(GatewaySettings, names=["cors_origins"])
@with_settings_of(GatewaySettings, names=["free_read_quota_bytes"])
@with_settings_of(
    GatewaySettings,
    names=["max_uploads", "max_downloads", "place_wait_s", "least_place_bytes_per_s"],
)
@with_settings_of(
    GatewaySettings,
    names=["max_waiting_jobs", "retry_after_s"],
)
@with_settings_of(
    GatewaySettings,
    names=["wire_groups_bytes", "least_group_bytes_per_s"],
)
@with_settings_of(
    DownloaderSettings,
    names=[
        "download_threads",
        "hedge_s",
        "piece_timeout_s",
        "parallel_rebuilds",
        "least_download_bytes_per_s",
    ],
)
class GatewaySection(_Section):
    host: str = "127.0.0.1"
    """What gateways listen on: an address of every node, or 0.0.0.0 for all of a node's addresses;
    clients are then told the address by which Ray knows the node."""
    port: Port = 9033
    """Of the first SP, the others follow; 0 takes any free ones."""
    domain: Domain = ""
    """Buckets are also hosts: http://BUCKET.DOMAIN/OBJECT, for clients for which these names lead
    to a gateway. Empty: only http://HOST/BUCKET/OBJECT."""


@with_settings_of(
    UploaderSettings, names=["hash_threads", "io_threads", "hot_idle_s", "least_bytes_per_s"]
)
class UploaderSection(_Section):
    """Of each Uploader."""


@with_settings_of(ReceiverSettings, names=["threads", "max_open_groups"])
class ReceiverSection(_Section):
    """Of each Receiver."""


@with_settings_of(CollectorSettings)
class CollectorSection(_Section):
    """How the space of deleted objects comes back."""


@with_settings_of(*(kind.options_type for kind in PIECE_KINDS.values()))
class PieceSection(_Section):
    """Where segments and EC pieces are stored; below: the options of all kinds of PieceStore."""

    url: str | None = None
    """The place and its kind: file:///srv/pieces, or s3://BUCKET/PREFIX for a bucket that is there
    already, in which each SP has a prefix of its own below; None: files in the state directory."""
    kind: Literal["file", "s3"] = "file"
    """Instead of url, with directory, or bucket and prefix."""
    directory: Path | None = None
    """Instead of url: of the files, also a relative one; None: in the state directory."""
    bucket: str | None = None
    """Instead of url: for s3."""
    prefix: Annotated[str, Field(pattern=PREFIX_PATTERN)] = "greenray"
    """Instead of url: what keys in the bucket begin with."""

    @model_validator(mode="after")
    def _kind_fits(self) -> PieceSection:
        if self.url is not None:
            twice = sorted(self.model_fields_set & _INSTEAD_OF_URL)
            if twice:
                raise ValueError(f"url says it all. Remove {' and '.join(twice)}, or url")
        elif self.kind == "s3" and not self.bucket:
            raise ValueError("kind s3 needs a bucket")
        elif foreign := self._given(set(PieceSection.model_fields) - _WORDS_OF[self.kind]):
            raise ValueError(f"kind {self.kind} has no {', '.join(foreign)}")
        try:
            self.location(_SOME_DIRECTORY, durable=True)
        except InvalidSetting as error:
            raise ValueError(f"{error.what}. {error.next_step}") from None
        return self

    @property
    def scheme(self) -> str:
        """Of the location's URL."""
        return self.location(_SOME_DIRECTORY, durable=True).scheme

    def location(self, default_directory: Path, durable: bool) -> PieceLocation:
        """``default_directory``: for files, when the settings name none."""
        options = {name: getattr(self, name) for name in self._given(_OPTIONS)}
        return piece_location(self._url_or(default_directory), options, durable=durable)

    def _url_or(self, default_directory: Path) -> str:
        if self.url is not None:
            return self.url
        if self.bucket is not None:
            return S3Location(self.bucket, self.prefix).url
        directory = self.directory or default_directory
        return FileLocation(directory.expanduser().absolute()).url

    def _given(self, names: Collection[str]) -> list[str]:
        """Those that are not as they are without being set."""
        return [
            name
            for name, field in type(self).model_fields.items()
            if name in names and getattr(self, name) != field.default
        ]


_SOME_DIRECTORY = Path("/pieces")
"""For questions that do not depend on the default."""
_INSTEAD_OF_URL = {"kind", "directory", "bucket", "prefix"}
_WORDS_OF = {
    "file": {"kind", "directory", *(field.name for field in fields(FileOptions))},
    "s3": {"kind", "bucket", "prefix", *(field.name for field in fields(S3Options))},
}
_OPTIONS = set(PieceSection.model_fields) - _INSTEAD_OF_URL - {"url"}


@with_settings_of(LendingSettings)
class BudgetSection(_Section):
    """Where the one memory budget goes. Of 2 GiB: three batches of four segments are on their way
    to secondaries with their parity, beside room for what Ray frees late; two are received, four
    with slow clients; and one is read back."""

    memory_bytes: Annotated[int, Field(ge=1024 * MIB)] = 2048 * MIB
    """For all processes together, the object store counted once."""
    payload_bytes: Annotated[int, Field(ge=0)] = 0
    """Beyond that: room in the object store for payloads that are put from within the cluster. On
    one node half of it may belong to objects that are stored and not replicated yet."""
    object_store_share: Annotated[float, Field(gt=0, lt=1)] = 0.18
    """Ray's shared memory: hot columns and columns on their way must fit into it."""
    hot_columns_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Columns kept for replication after an upload; the others are read from the PieceStore again.
    Local disks are fast enough. For S3 or a slow disk: 0.03, and 0.22 in object_store_share."""
    replication_share: Annotated[float, Field(gt=0, lt=1)] = 0.141
    """Columns on their way to secondaries."""
    ingest_share: Annotated[float, Field(gt=0, lt=1)] = 0.125
    """Buffers that payloads are received in: half of them at once, the others for uploads that have
    waited a second, as slow clients are using the first. An eighth is for uploads that begin."""
    cold_columns_share: Annotated[float, Field(gt=0, lt=1)] = 0.035
    """Buffers that segments are read back into."""
    download_share: Annotated[float, Field(gt=0, lt=1)] = 0.06
    """Buffers that downloads are read and verified in."""

    @model_validator(mode="after")
    def _columns_fit(self) -> BudgetSection:
        if self.hot_columns_share + self.replication_share > 0.9 * self.object_store_share:
            raise ValueError(
                "hot_columns_share and replication_share must leave a tenth of object_store_share"
            )
        return self

    @property
    def object_store_bytes(self) -> int:
        return int(self.memory_bytes * self.object_store_share) + self.payload_bytes

    @property
    def hot_columns_bytes(self) -> int:
        return int(self.memory_bytes * self.hot_columns_share)

    @property
    def replication_bytes(self) -> int:
        return int(self.memory_bytes * self.replication_share)

    @property
    def parity_bytes(self) -> int:
        """Beside the object store, where a network has one node: for the parity of all columns that
        are on their way, up to as many parity columns as data columns."""
        return self.replication_bytes // 2

    @property
    def ingest_bytes(self) -> int:
        return int(self.memory_bytes * self.ingest_share)

    @property
    def cold_columns_bytes(self) -> int:
        return int(self.memory_bytes * self.cold_columns_share)

    @property
    def download_bytes(self) -> int:
        return int(self.memory_bytes * self.download_share)


@with_settings_of(HttpSettings, names=["idle_timeout_s", "connect_timeout_s"])
class HttpSection(_Section):
    """To secondaries outside of this cluster."""


@with_settings_of(UploaderSettings, names=["deadline_s", "ahead_after_bytes", "lease_s"])
@with_settings_of(TaskNodeSettings, names=["parallel_jobs", "poll_s"])
@with_settings_of(InClusterSettings, names=["call_timeout_s", "restart_wait_s"])
@with_settings_of(ReplicationSettings, names=["batch_timeout_s", "window_batches"])
@with_settings_of(
    DriverSettings,
    names=["approval_timeout_s", "retry_base_s", "retry_cap_s", "seal_timeout_s", "parked_look_s"],
)
@with_settings_of(P2PSettings, names=["spare_grace_s"])
class ReplicationSection(_Section):
    receivers: Annotated[int, Field(ge=1)] = 1
    """Receiver processes on each node; each serves some of the hosted SPs, with
    receiver.threads threads. More than one may help on a node with many cores."""
    unfinished_group_lifetime_s: PositiveSeconds = 3600.0
    """When a secondary removes a group that no primary finished."""
    http: HttpSection = HttpSection()


@with_settings_of(
    ScrubberSettings, names=["bandwidth_bytes_s", "share_beside_uploads", "interval_s"]
)
class ScrubSection(_Section):
    """Of the background scrub, which repairs what it finds broken."""


@with_settings_of(SupervisionSettings)
class SupervisionSection(_Section):
    """Of all processes of a network."""

    @property
    def told(self) -> SupervisionSettings:
        return SupervisionSettings(**self.model_dump())


@with_settings_of(LogSettings)
class LogSection(_Section):
    """Of each process, in the directory logs of the state directory."""

    @property
    def told(self) -> LogSettings:
        return LogSettings(**self.model_dump())


class Settings(BaseSettings):
    """Everything that can be set. ``greenray.yaml`` in the working directory is read if present."""

    model_config = SettingsConfigDict(
        env_prefix=VARIABLE_PREFIX,
        env_nested_delimiter=VARIABLE_SEPARATOR,
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
    )

    state_dir: Path = Path("~/.greenray")
    """Where a network keeps everything that must survive."""
    sps: Annotated[int, Field(ge=2)] = 7
    """Storage providers of a local network: at least one more than k + m (4 + 2, or what
    chain.genesis_params says)."""
    address: str | None = None
    """A running Ray cluster to attach to: auto (the one on this machine), or HOST:PORT of its head;
    None: a Ray runtime of our own."""
    allow_open_cluster: bool = False
    """Whether that cluster may be one that asks nobody for a token."""
    cpus: Annotated[int | None, Field(ge=1)] = None
    """CPUs that a Ray runtime of our own may use; None: all."""
    codec: Literal["auto", "isal", "zfec", "numpy"] = "auto"
    """The erasure coder; auto takes the fastest that is there."""
    durable: bool = True
    """Whether every acknowledged byte is synced to disk first."""
    batch_segments: Annotated[int, Field(ge=1, le=64)] = DEFAULT_BATCH_SEGMENTS
    """Segments that are stored, encoded and sent together."""
    chain: ChainSection = ChainSection()
    gateway: GatewaySection = GatewaySection()
    pieces: PieceSection = PieceSection()
    budget: BudgetSection = BudgetSection()
    uploader: UploaderSection = UploaderSection()
    receiver: ReceiverSection = ReceiverSection()
    collector: CollectorSection = CollectorSection()
    replication: ReplicationSection = ReplicationSection()
    scrub: ScrubSection = ScrubSection()
    supervision: SupervisionSection = SupervisionSection()
    logs: LogSection = LogSection()

    @model_validator(mode="after")
    def _runtime_is_ours_or_not(self) -> Settings:
        if self.address is not None and self.cpus is not None:
            raise ValueError("cpus is of a Ray runtime of our own, and address names another")
        return self

    @model_validator(mode="after")
    def _shape_has_enough_providers(self) -> Settings:
        if self.chain.endpoint is not None:
            return self  # that chain has its own shape and its own providers
        try:
            storage = chain_params(self.chain.genesis_params).storage
        except InvalidInput as error:
            raise ValueError(f"chain.genesis_params: {error.where}: {error.what}") from None
        k, m = storage.redundant_data_chunk_num, storage.redundant_parity_chunk_num
        needed = providers_needed(k, m)
        if self.sps < needed:
            raise ValueError(
                f"{k}+{m} needs {needed} storage providers, a primary and {k + m} secondaries, "
                f"and sps is {self.sps}: set sps to {needed} or more, or redundant_data_chunk_num "
                "and redundant_parity_chunk_num in chain.genesis_params to less"
            )
        return self
