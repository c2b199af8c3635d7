"""What a chain starts from: accounts, storage providers, parameters, fixed gas per message.

The form is that of ``genesis-v0_2.json`` (protocol 04 §12): JSON with 64-bit numbers as decimal
text. ``build_genesis`` makes one for a local network.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from greenray.chain.addresses import InvalidAddress, address_text, parse_address
from greenray.chain.local.ledger.params import (
    FEE_DENOM,
    ChainParams,
    StorageModuleParams,
    chain_params,
    check_storage_params,
)
from greenray.protocol.errors import InvalidInput
from greenray.protocol.objects import ProviderStatus

_CHAIN_ID = re.compile(r"^[a-z]+_([1-9][0-9]*)-[1-9][0-9]*$")
_MAX_CHAIN_ID_LENGTH = 48
_DEFAULT_BALANCE = 10**26
_DEFAULT_DEPOSIT = 10**25


@dataclass(frozen=True, slots=True)
class GenesisAccount:
    """``balance``: (denom, amount) pairs."""

    address: str
    account_number: int
    balance: tuple[tuple[str, int], ...]
    name: str = ""
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class GenesisProvider:
    """A storage provider as created at genesis; prices are BNB wei per byte and second."""

    operator_address: str
    funding_address: str
    seal_address: str
    approval_address: str
    gc_address: str
    endpoint: str
    moniker: str = ""
    identity: str = ""
    website: str = ""
    security_contact: str = ""
    details: str = ""
    deposit: int = _DEFAULT_DEPOSIT
    read_price: str = "0.087000000000000000"
    store_price: str = "0.004800000000000000"
    free_read_quota: int = 10_000_000_000
    status: int = ProviderStatus.STATUS_IN_SERVICE


@dataclass(frozen=True, slots=True)
class Genesis:
    """A validated genesis. ``gas`` is fixed by type URL; ``min_gas_price`` is per gas, in the
    smallest unit of its denom."""

    chain_id: str
    accounts: tuple[GenesisAccount, ...]
    storage_providers: tuple[GenesisProvider, ...]
    gas: Mapping[str, int]
    params: ChainParams = field(default_factory=ChainParams)
    min_gas_price: int = 5_000_000_000
    min_gas_denom: str = FEE_DENOM

    @property
    def numeric_chain_id(self) -> int:
        """The EIP-155 number inside the chain id (protocol 04 §4.5)."""
        return numeric_chain_id(self.chain_id)


def numeric_chain_id(chain_id: str) -> int:
    """``greenfield_9000-121`` -> 9000. Raises InvalidInput."""
    match = _CHAIN_ID.match(chain_id)
    if match is None or len(chain_id) > _MAX_CHAIN_ID_LENGTH:
        raise _bad(f"the chain id {chain_id[:60]!r} is not like greenfield_9000-121", "chain_id")
    return int(match.group(1))


def load_genesis(path: Path, fixed_gas: Mapping[str, int]) -> Genesis:
    """Read and validate a genesis file; ``fixed_gas`` as for ``parse_genesis``.

    Raises:
        InvalidInput: the file cannot be read, is not JSON, or says something impossible.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"the genesis file cannot be read: {error}", str(path), "Give a JSON file"
        ) from error
    try:
        return parse_genesis(document, fixed_gas)
    except InvalidInput as error:
        raise InvalidInput(error.what, f"{path}: {error.where}", error.next_step) from error


def parse_genesis(document: Any, fixed_gas: Mapping[str, int]) -> Genesis:
    """Validate a genesis document. ``fixed_gas``: of the messages that run, by type URL, where the
    document says nothing else.

    Raises InvalidInput naming the field.
    """
    if not isinstance(document, dict):
        raise _bad("a genesis is a JSON object", "genesis")
    reader = _Reader(document, "")
    accounts = tuple(
        _parse_account(row, number) for number, row in enumerate(reader.list("accounts"))
    )
    providers = tuple(_parse_provider(row) for row in reader.list("storage_providers"))
    price, denom = _parse_coin_text(reader.text("min_gas_price", f"5000000000{FEE_DENOM}"))
    gas_rows = reader.object("gas")
    # Other messages of the real chain do not run here; some have no fixed gas.
    gas = {name: gas_rows.integer(name, default) for name, default in fixed_gas.items()}
    genesis = Genesis(
        chain_id=reader.text("chain_id"),
        accounts=accounts,
        storage_providers=providers,
        params=_parse_params(reader.object("params")),
        gas=gas,
        min_gas_price=price,
        min_gas_denom=denom,
    )
    check_genesis(genesis)
    return genesis


def check_genesis(genesis: Genesis) -> None:
    """Raises InvalidInput when the parts do not fit together."""
    numeric_chain_id(genesis.chain_id)
    numbers = [account.account_number for account in genesis.accounts]
    _check_unique([account.address for account in genesis.accounts], "accounts: address")
    _check_unique(numbers, "accounts: account_number")
    providers = genesis.storage_providers
    _check_unique([p.operator_address for p in providers], "storage_providers: sp_address")
    _check_unique([p.seal_address for p in providers], "storage_providers: seal_address")
    _check_unique([p.approval_address for p in providers], "storage_providers: approval_address")
    check_storage_params(genesis.params.storage)


def build_genesis(
    providers: Sequence[GenesisProvider],
    users: Sequence[str] = (),
    *,
    fixed_gas: Mapping[str, int],
    chain_id: str = "greenfield_9000-121",
    balance: int = _DEFAULT_BALANCE,
    overrides: Mapping[str, Any] | None = None,
) -> Genesis:
    """A genesis for a local network.

    Every address of the providers and every user gets an account with ``balance`` (smallest
    unit), numbered in the order given. ``fixed_gas`` is the dialect's. ``overrides`` are fields of
    ``StorageModuleParams`` or ``ChainParams``, e.g. ``{"max_segment_size": 4096}``.

    Raises:
        InvalidInput: an address or an override that makes no sense.
    """
    addresses: list[str] = []
    for provider in providers:
        addresses += [
            provider.operator_address,
            provider.funding_address,
            provider.seal_address,
            provider.approval_address,
            provider.gc_address,
        ]
    unique = list(dict.fromkeys(_address(text, "address") for text in [*addresses, *users]))
    genesis = Genesis(
        chain_id=chain_id,
        accounts=tuple(
            GenesisAccount(address, number, ((FEE_DENOM, balance),))
            for number, address in enumerate(unique)
        ),
        storage_providers=tuple(_with_checked_addresses(provider) for provider in providers),
        gas=dict(fixed_gas),
        params=chain_params(overrides or {}),
    )
    check_genesis(genesis)
    return genesis


def genesis_to_json(genesis: Genesis) -> dict[str, Any]:
    """The document that ``parse_genesis`` reads."""
    params = genesis.params
    storage = {name: _json_number(value) for name, value in asdict(params.storage).items()}
    versioned = {
        name: storage.pop(name)
        for name in (
            "max_segment_size",
            "redundant_data_chunk_num",
            "redundant_parity_chunk_num",
            "min_charge_size",
        )
    }
    return {
        "chain_id": genesis.chain_id,
        "min_gas_price": f"{genesis.min_gas_price}{genesis.min_gas_denom}",
        "accounts": [_account_to_json(account) for account in genesis.accounts],
        "storage_providers": [_provider_to_json(p) for p in genesis.storage_providers],
        "params": {
            "storage": {
                "versioned_params": versioned,
                **storage,
                "recorded_reject_seal": params.recorded_reject_seal,
            },
            "sp": {
                "deposit_denom": params.deposit_denom,
                "min_deposit": str(params.min_deposit),
                "secondary_sp_store_price_ratio": params.secondary_sp_store_price_ratio,
            },
            "gashub": {
                "max_tx_size": str(params.max_tx_size),
                "min_gas_per_byte": str(params.min_gas_per_byte),
            },
            "auth": {
                "max_memo_characters": str(params.max_memo_characters),
                "tx_sig_limit": str(params.tx_sig_limit),
            },
            "payment": {
                "reserve_time": str(params.reserve_time_s),
                "forced_settle_time": str(params.forced_settle_time_s),
                "fee_denom": params.fee_denom,
                "validator_tax_rate": params.validator_tax_rate,
            },
        },
        "gas": {name: str(amount) for name, amount in genesis.gas.items()},
    }


# --- reading -----------------------------------------------------------------------------------


class _Reader:
    """Typed access to a JSON object; errors name the path of the field."""

    def __init__(self, values: Mapping[str, Any], path: str) -> None:
        self._values = values
        self._path = path

    def names(self) -> list[str]:
        return list(self._values)

    def where(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name

    def text(self, name: str, default: str | None = None) -> str:
        value = self._values.get(name, default)
        if not isinstance(value, str):
            raise _bad("text is expected", self.where(name))
        return value

    def integer(self, name: str, default: int | None = None) -> int:
        value = self._values.get(name, default)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
        if isinstance(value, str) and value.isascii() and value.isdigit():
            return int(value)
        raise _bad("a number that is not negative is expected", self.where(name))

    def decimal(self, name: str, default: str) -> str:
        text = self.text(name, default)
        try:
            value = Decimal(text)
        except InvalidOperation as error:
            raise _bad("a decimal number is expected", self.where(name)) from error
        if not value.is_finite() or value < 0:
            raise _bad("a decimal number that is not negative is expected", self.where(name))
        return text

    def boolean(self, name: str, default: bool) -> bool:
        value = self._values.get(name, default)
        if not isinstance(value, bool):
            raise _bad("true or false is expected", self.where(name))
        return value

    def list(self, name: str) -> list[_Reader]:
        rows = self._values.get(name, [])
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise _bad("a list of objects is expected", self.where(name))
        return [_Reader(row, f"{self.where(name)}[{i}]") for i, row in enumerate(rows)]

    def object(self, name: str) -> _Reader:
        value = self._values.get(name, {})
        if not isinstance(value, dict):
            raise _bad("an object is expected", self.where(name))
        return _Reader(value, self.where(name))

    def address(self, name: str) -> str:
        return _address(self.text(name), self.where(name))


def _parse_account(row: _Reader, position: int) -> GenesisAccount:
    return GenesisAccount(
        address=row.address("address"),
        account_number=row.integer("account_number", position),
        balance=tuple((c.text("denom"), c.integer("amount")) for c in row.list("balance")),
        name=row.text("name", ""),
        sequence=row.integer("sequence", 0),
    )


def _parse_provider(row: _Reader) -> GenesisProvider:
    description = row.object("description")
    status_name = row.text("status", ProviderStatus.STATUS_IN_SERVICE.name)
    if status_name not in ProviderStatus.__members__:
        raise _bad(f"{status_name!r} is not a provider status", row.where("status"))
    return GenesisProvider(
        operator_address=row.address("sp_address"),
        funding_address=row.address("funding_address"),
        seal_address=row.address("seal_address"),
        approval_address=row.address("approval_address"),
        gc_address=row.address("gc_address"),
        endpoint=row.text("endpoint"),
        moniker=description.text("moniker", ""),
        identity=description.text("identity", ""),
        website=description.text("website", ""),
        security_contact=description.text("security_contact", ""),
        details=description.text("details", ""),
        deposit=row.object("deposit").integer("amount", _DEFAULT_DEPOSIT),
        read_price=row.decimal("read_price", "0.087000000000000000"),
        store_price=row.decimal("store_price", "0.004800000000000000"),
        free_read_quota=row.integer("free_read_quota", 10_000_000_000),
        status=ProviderStatus[status_name],
    )


def _parse_params(reader: _Reader) -> ChainParams:
    storage = reader.object("storage")
    versioned = storage.object("versioned_params")
    sp, gashub = reader.object("sp"), reader.object("gashub")
    auth, payment = reader.object("auth"), reader.object("payment")
    return ChainParams(
        storage=_parse_storage_params(storage, versioned),
        deposit_denom=sp.text("deposit_denom", FEE_DENOM),
        min_deposit=sp.integer("min_deposit", 10**22),
        secondary_sp_store_price_ratio=sp.decimal(
            "secondary_sp_store_price_ratio", "0.650000000000000000"
        ),
        max_tx_size=gashub.integer("max_tx_size", 65_536),
        min_gas_per_byte=gashub.integer("min_gas_per_byte", 5),
        max_memo_characters=auth.integer("max_memo_characters", 256),
        tx_sig_limit=auth.integer("tx_sig_limit", 7),
        reserve_time_s=payment.integer("reserve_time", 60),
        forced_settle_time_s=payment.integer("forced_settle_time", 30),
        fee_denom=payment.text("fee_denom", FEE_DENOM),
        validator_tax_rate=payment.decimal("validator_tax_rate", "0.010000000000000000"),
        recorded_reject_seal=storage.boolean("recorded_reject_seal", False),
    )


def _parse_storage_params(storage: _Reader, versioned: _Reader) -> StorageModuleParams:
    values: dict[str, Any] = {}
    for name, default in asdict(StorageModuleParams()).items():
        reader = versioned if name in versioned.names() else storage
        if isinstance(default, str):
            values[name] = reader.text(name, default)
        else:
            values[name] = reader.integer(name, default)
    return StorageModuleParams(**values)


def _parse_coin_text(text: str) -> tuple[int, str]:
    match = re.fullmatch(r"([0-9]+)([A-Za-z][A-Za-z0-9/]*)", text)
    if match is None:
        raise _bad(f"{text[:40]!r} is not a price like 5000000000BNB", "min_gas_price")
    return int(match.group(1)), match.group(2)


# --- helpers -----------------------------------------------------------------------------------


def _with_checked_addresses(provider: GenesisProvider) -> GenesisProvider:
    return replace(
        provider,
        operator_address=_address(provider.operator_address, "operator_address"),
        funding_address=_address(provider.funding_address, "funding_address"),
        seal_address=_address(provider.seal_address, "seal_address"),
        approval_address=_address(provider.approval_address, "approval_address"),
        gc_address=_address(provider.gc_address, "gc_address"),
    )


def _account_to_json(account: GenesisAccount) -> dict[str, Any]:
    return {
        "name": account.name,
        "address": account.address,
        "account_number": account.account_number,
        "sequence": str(account.sequence),
        "balance": [{"denom": d, "amount": str(amount)} for d, amount in account.balance],
    }


def _provider_to_json(provider: GenesisProvider) -> dict[str, Any]:
    return {
        "description": {
            "moniker": provider.moniker,
            "identity": provider.identity,
            "website": provider.website,
            "security_contact": provider.security_contact,
            "details": provider.details,
        },
        "sp_address": provider.operator_address,
        "funding_address": provider.funding_address,
        "seal_address": provider.seal_address,
        "approval_address": provider.approval_address,
        "gc_address": provider.gc_address,
        "endpoint": provider.endpoint,
        "deposit": {"denom": FEE_DENOM, "amount": str(provider.deposit)},
        "read_price": provider.read_price,
        "free_read_quota": str(provider.free_read_quota),
        "store_price": provider.store_price,
        "status": ProviderStatus(provider.status).name,
    }


def _json_number(value: int | str) -> str:
    return str(value)


def _address(text: str, where: str) -> str:
    try:
        return address_text(parse_address(text))
    except InvalidAddress as error:
        raise _bad(str(error), where) from error


def _check_unique(values: Sequence[str] | Sequence[int], where: str) -> None:
    if len(set(values)) != len(values):
        raise _bad("a value appears twice", where)


def _bad(what: str, where: str) -> InvalidInput:
    return InvalidInput(what, where, "Correct the genesis")
