"""Storage providers: those of the genesis, as MsgEditStorageProvider has changed them since.

No message of v0.2.0 takes a provider out of service, or makes a new one without the government.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from greenray.chain import wire
from greenray.chain.addresses import address_text, parse_address
from greenray.chain.dialects import v0_2 as dialect
from greenray.chain.dialects.v0_2.local_rules.faults import fault
from greenray.chain.dialects.v0_2.state import storage_provider_to_wire
from greenray.chain.local.ledger.context import Context, Rules
from greenray.chain.local.ledger.events import typed_event
from greenray.chain.local.ledger.faults import sdk
from greenray.chain.local.ledger.genesis import GenesisProvider
from greenray.chain.local.ledger.state import State
from greenray.protocol.objects import ProviderStatus, StorageProvider

PROVIDER, PROVIDER_BY_SEAL, PROVIDER_BY_GC = "sp", "sp_by_seal", "sp_by_gc"

_KEEP = "[do-not-modify]"
_LONGEST = {"moniker": 70, "identity": 3000, "website": 140, "details": 280}


def get_provider(state: State, rules: Rules, operator_address: bytes) -> GenesisProvider | None:
    begun_as = rules.providers.get(operator_address)
    value = state.get(PROVIDER, operator_address)
    if begun_as is None or value is None:
        return begun_as
    now = wire.sp.StorageProvider.FromString(value)
    return replace(
        begun_as,
        seal_address=now.seal_address,
        approval_address=now.approval_address,
        gc_address=now.gc_address,
        endpoint=now.endpoint,
        status=now.status,
        moniker=now.description.moniker,
        identity=now.description.identity,
        website=now.description.website,
        security_contact=now.description.security_contact,
        details=now.description.details,
    )


def get_provider_by_seal(state: State, rules: Rules, address: bytes) -> GenesisProvider | None:
    """Also by an earlier seal address, which the chain goes on to know."""
    return _get_by(state, rules, PROVIDER_BY_SEAL, rules.providers_by_seal, address)


def get_provider_by_gc(state: State, rules: Rules, address: bytes) -> GenesisProvider | None:
    """Also by an earlier one."""
    return _get_by(state, rules, PROVIDER_BY_GC, rules.providers_by_gc, address)


def _get_by(
    state: State,
    rules: Rules,
    kind: str,
    at_genesis: Mapping[bytes, GenesisProvider],
    address: bytes,
) -> GenesisProvider | None:
    operator_address = state.get(kind, address)
    if operator_address is None and address in at_genesis:
        operator_address = parse_address(at_genesis[address].operator_address)
    return None if operator_address is None else get_provider(state, rules, operator_address)


def all_providers(state: State, rules: Rules) -> dict[bytes, GenesisProvider]:
    """By operator address, in the chain's order."""
    found = {address: get_provider(state, rules, address) for address in rules.providers}
    return {address: provider for address, provider in found.items() if provider is not None}


def put_provider(state: State, provider: GenesisProvider) -> None:
    operator_address = parse_address(provider.operator_address)
    state.put(PROVIDER, operator_address, provider_to_wire(provider).SerializeToString())
    state.put(PROVIDER_BY_SEAL, parse_address(provider.seal_address), operator_address)
    state.put(PROVIDER_BY_GC, parse_address(provider.gc_address), operator_address)


def provider_to_wire(provider: GenesisProvider) -> Any:
    return storage_provider_to_wire(
        StorageProvider(
            operator_address=provider.operator_address,
            funding_address=provider.funding_address,
            seal_address=provider.seal_address,
            approval_address=provider.approval_address,
            gc_address=provider.gc_address,
            total_deposit=str(provider.deposit),
            status=ProviderStatus(provider.status),
            endpoint=provider.endpoint,
            moniker=provider.moniker,
            identity=provider.identity,
            website=provider.website,
            security_contact=provider.security_contact,
            details=provider.details,
        )
    )


def edit_storage_provider(context: Context, message: dialect.MsgEditStorageProvider) -> Any:
    """What is empty stays. Raises ChainFault: sp/1, sp/12, sdk/18."""
    operator_address = parse_address(message.sp_address)
    provider = get_provider(context.state, context.rules, operator_address)
    if provider is None:
        raise fault("sp", 1)
    edited = provider
    if message.endpoint:
        edited = replace(edited, endpoint=message.endpoint)
    if message.description is not None:
        edited = _described(edited, message.description)
    addresses = message.seal_address, message.approval_address, message.gc_address
    if message.description is None and not any((message.endpoint, *addresses)):
        raise fault("sp", 12)
    edited = replace(
        edited,
        seal_address=_address(message.seal_address, edited.seal_address),
        approval_address=_address(message.approval_address, edited.approval_address),
        gc_address=_address(message.gc_address, edited.gc_address),
    )
    put_provider(context.state, edited)
    context.emit(
        typed_event(
            "greenfield.sp.EventEditStorageProvider",
            {
                "sp_address": address_text(operator_address),
                "endpoint": edited.endpoint,
                "description": {
                    "moniker": edited.moniker,
                    "identity": edited.identity,
                    "website": edited.website,
                    "security_contact": edited.security_contact,
                    "details": edited.details,
                },
                "seal_address": edited.seal_address,
                "approval_address": edited.approval_address,
                "gc_address": edited.gc_address,
            },
        )
    )
    return wire.sp.MsgEditStorageProviderResponse()


def _address(wanted: str, before: str) -> str:
    return address_text(parse_address(wanted)) if wanted else before


def _described(provider: GenesisProvider, wanted: dialect.Description) -> GenesisProvider:
    for name, longest in _LONGEST.items():
        size_bytes = len(getattr(wanted, name).encode())
        if size_bytes > longest:
            raise sdk(18, f"invalid {name} length; got: {size_bytes}, max: {longest}")
    return replace(
        provider,
        moniker=_kept(wanted.moniker, provider.moniker),
        identity=_kept(wanted.identity, provider.identity),
        website=_kept(wanted.website, provider.website),
        security_contact=wanted.security_contact,
        details=_kept(wanted.details, provider.details),
    )


def _kept(wanted: str, before: str) -> str:
    return before if wanted == _KEEP else wanted
