"""The module parameters that an embedded chain starts with, by name and default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from greenray.protocol.errors import InvalidInput

FEE_DENOM = "BNB"


@dataclass(frozen=True, slots=True)
class StorageModuleParams:
    """greenfield.storage.Params (protocol 05 §2.1), fields of the wire."""

    max_segment_size: int = 16 * 1024 * 1024
    redundant_data_chunk_num: int = 4
    redundant_parity_chunk_num: int = 2
    min_charge_size: int = 1024 * 1024
    max_payload_size: int = 2 * 1024 * 1024 * 1024
    mirror_bucket_relayer_fee: str = "250000000000000"
    mirror_bucket_ack_relayer_fee: str = "250000000000000"
    mirror_object_relayer_fee: str = "250000000000000"
    mirror_object_ack_relayer_fee: str = "250000000000000"
    mirror_group_relayer_fee: str = "250000000000000"
    mirror_group_ack_relayer_fee: str = "250000000000000"
    max_buckets_per_account: int = 100
    discontinue_counting_window: int = 10_000
    discontinue_object_max: int = 2**64 - 1
    discontinue_bucket_max: int = 2**64 - 1
    discontinue_confirm_period: int = 604_800
    discontinue_deletion_max: int = 10_000
    stale_policy_cleanup_max: int = 200

    @property
    def secondary_count(self) -> int:
        """k + m: how many secondaries an object is sealed with."""
        return self.redundant_data_chunk_num + self.redundant_parity_chunk_num


@dataclass(frozen=True, slots=True)
class ChainParams:
    """Module parameters; every field that the embedded chain uses.

    ``recorded_reject_seal``: RejectSealObject behaves as recorded from v0.2.0, where its test is
    inverted; otherwise it is corrected (protocol 04 §10.4).
    """

    storage: StorageModuleParams = field(default_factory=StorageModuleParams)
    deposit_denom: str = FEE_DENOM
    min_deposit: int = 10**22
    secondary_sp_store_price_ratio: str = "0.650000000000000000"
    max_tx_size: int = 65_536
    min_gas_per_byte: int = 5
    max_memo_characters: int = 256
    tx_sig_limit: int = 7
    reserve_time_s: int = 60
    forced_settle_time_s: int = 30
    fee_denom: str = FEE_DENOM
    validator_tax_rate: str = "0.010000000000000000"
    recorded_reject_seal: bool = False


def chain_params(overrides: Mapping[str, Any]) -> ChainParams:
    """The defaults with ``overrides``: fields of ``StorageModuleParams`` or ``ChainParams``, e.g.
    ``{"max_segment_size": 4096}``; a number may be decimal text, as a variable gives it.

    Raises:
        InvalidInput: a name or a value that makes no sense.
    """
    defaults = ChainParams()
    in_storage = asdict(defaults.storage)
    in_chain = {name: value for name, value in asdict(defaults).items() if name != "storage"}
    storage: dict[str, Any] = {}
    chain: dict[str, Any] = {}
    for name, value in overrides.items():
        if name in in_storage:
            storage[name] = _like(in_storage[name], value, name)
        elif name in in_chain:
            chain[name] = _like(in_chain[name], value, name)
        else:
            raise _bad(f"there is no parameter named {name!r}", "overrides")
    params = replace(defaults, storage=replace(defaults.storage, **storage), **chain)
    check_storage_params(params.storage)
    return params


def check_storage_params(params: StorageModuleParams) -> None:
    """Raises InvalidInput."""
    if params.redundant_data_chunk_num < 1 or not 1 <= params.secondary_count <= 256:
        raise _bad("k must be at least 1 and k + m at most 256", "params.storage.versioned_params")
    if params.max_segment_size < 1:
        raise _bad("max_segment_size must be positive", "params.storage.versioned_params")


def _like(default: Any, value: Any, name: str) -> Any:
    """``value`` as the type of ``default``; numbers are not negative."""
    if isinstance(default, bool) and isinstance(value, bool):
        return value
    if not isinstance(default, bool) and not isinstance(value, bool):
        text = str(value)
        if isinstance(default, str):
            return text
        if text.isascii() and text.isdigit():
            return int(text)
    raise _bad(f"{value!r} is not like {default!r}", name)


def _bad(what: str, where: str) -> InvalidInput:
    return InvalidInput(what, where, "Correct the genesis")
