"""The application's settings: greenray.yaml, then GREENRAY_... variables; unknown keys refused.

Consensus parameters are not here: they are read from the chain. Every default works with no file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)

from protocol.errors import InvalidSetting

MIB = 1024 * 1024

PositiveSeconds = Annotated[float, Field(gt=0)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ChainSettings(_Section):
    """The embedded chain, or an existing node."""

    endpoint: str | None = None
    """URL of an existing node; None starts the embedded chain."""
    keys_file: Path | None = None
    """JSON with the keys of the SPs and the user on that node."""
    port: int = 26750
    """Of the embedded chain; 0 takes any free one."""
    block_interval_s: PositiveSeconds = 0.5
    genesis_params: dict[str, int | str | bool] = {}
    """Consensus parameters that a new embedded chain starts with, e.g. max_segment_size."""
    dialect: str = "v0_2"
    seal_timeout_blocks: Annotated[int, Field(ge=5)] = 100
    """timeout_height of a seal transaction, counted from the current height."""


class GatewaySettings(_Section):
    port: int = 9033
    """Of the first SP, the others follow; 0 takes any free ones."""
    idle_timeout_s: PositiveSeconds = 60.0


class BudgetSettings(_Section):
    """Where the one memory budget goes; the shares are measured in docs/performance.md."""

    memory_bytes: Annotated[int, Field(ge=1024 * MIB)] = 2048 * MIB
    """For all processes together, the object store counted once."""
    object_store_share: Annotated[float, Field(gt=0, lt=1)] = 0.36
    hot_columns_share: Annotated[float, Field(ge=0, lt=1)] = 0.13
    ingest_share: Annotated[float, Field(gt=0, lt=1)] = 0.1
    download_share: Annotated[float, Field(gt=0, lt=1)] = 0.06

    @property
    def object_store_bytes(self) -> int:
        return int(self.memory_bytes * self.object_store_share)

    @property
    def hot_columns_bytes(self) -> int:
        return int(self.memory_bytes * self.hot_columns_share)

    @property
    def ingest_bytes(self) -> int:
        return int(self.memory_bytes * self.ingest_share)

    @property
    def download_bytes(self) -> int:
        return int(self.memory_bytes * self.download_share)


class ReplicationSettings(_Section):
    receivers: Annotated[int, Field(ge=1)] = 2
    """Receiver processes; each serves some of the hosted SPs."""
    approval_timeout_s: PositiveSeconds = 10.0
    batch_timeout_s: PositiveSeconds = 60.0
    retry_base_s: PositiveSeconds = 1.0
    retry_cap_s: PositiveSeconds = 300.0
    deadline_s: PositiveSeconds = 24 * 3600.0
    unfinished_group_lifetime_s: PositiveSeconds = 3600.0


class Settings(BaseSettings):
    """Everything that can be set. ``greenray.yaml`` in the working directory is read if present."""

    model_config = SettingsConfigDict(
        env_prefix="GREENRAY_", env_nested_delimiter="__", extra="forbid", frozen=True
    )

    state_dir: Path = Path("~/.greenray")
    sps: Annotated[int, Field(ge=7)] = 7
    cpus: Annotated[int, Field(ge=1)] | None = None
    """CPUs that Ray may use; None: all."""
    codec: Literal["auto", "isal", "zfec", "numpy"] = "auto"
    durable: bool = True
    """Whether every acknowledged byte is synced to disk first."""
    batch_segments: Annotated[int, Field(ge=1, le=64)] = 4
    chain: ChainSettings = ChainSettings()
    gateway: GatewaySettings = GatewaySettings()
    budget: BudgetSettings = BudgetSettings()
    replication: ReplicationSettings = ReplicationSettings()


def load_settings(config_file: Path | None = None, **overrides: Any) -> Settings:
    """Arguments (those that are not None) over environment over file over defaults.

    Raises InvalidSetting naming every wrong key.
    """
    if config_file is not None and not config_file.is_file():
        raise InvalidSetting("the file does not exist", str(config_file), "Check --config")
    source = config_file or Path("greenray.yaml")

    class _FromFile(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            yaml = YamlConfigSettingsSource(settings_cls, yaml_file=source)
            return init_settings, env_settings, yaml

    given = {name: value for name, value in overrides.items() if value not in (None, {})}
    try:
        return _FromFile(**given)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise InvalidSetting(
            "; ".join(lines), str(source), "Correct the setting, see docs/settings.md"
        ) from None
