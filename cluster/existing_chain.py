"""A chain that is there already: whether a network can run on it, asked before anything starts."""

from __future__ import annotations

from collections.abc import Sequence

from greenray.chain.dialects import get_dialect
from greenray.chain.rpc.client import RpcChainClient
from greenray.cluster.config.node_config import rpc_settings
from greenray.cluster.config.settings import Settings
from greenray.cluster.config.state_dir import StateDir
from greenray.protocol.errors import KeyMissing, TooFewProviders, UnknownStorageProvider
from greenray.protocol.objects import StorageParams, StorageProvider


async def check_existing_chain(
    settings: Settings,
    endpoint: str,
    hosted: Sequence[str],
    state: StateDir,
    *,
    accept_rollback: bool,
) -> None:
    """``hosted``: operator addresses of the SPs whose keys we have. ``accept_rollback``: it may
    have gone back, or lag, behind what was seen of it.

    Raises ChainUnavailable, ChainAnswerInvalid, AnotherChain (than the state directory's),
    ChainLags, ChainRolledBack, KeyMissing, and what ``check_providers`` raises.
    """
    if not hosted:
        raise KeyMissing(
            "there are no keys of a storage provider",
            str(settings.chain.keys or "the environment"),
            "Add the operator, seal and approval keys of each that is to run here",
        )
    dialect = get_dialect(settings.chain.dialect)
    rpc = rpc_settings(settings)
    history = None if accept_rollback else state.known_chain()
    client = RpcChainClient(
        endpoint, dialect, rpc.timeout_s, rpc.max_answer_bytes, rpc.follow, history
    )
    try:
        state.compare_chain(await client.chain_id(), await client.first_block_hash())
        providers = await client.storage_providers()
        check_providers(providers, await client.storage_params(), hosted, endpoint)
    finally:
        await client.close()


def check_providers(
    providers: Sequence[StorageProvider],
    params: StorageParams,
    hosted: Sequence[str],
    endpoint: str,
) -> None:
    """Every SP that is registered counts: one that is out of service may come back.

    Raises TooFewProviders, UnknownStorageProvider (one of ``hosted``).
    """
    needed = params.providers_needed
    if len(providers) < needed:
        raise TooFewProviders(
            f"{params.k}+{params.m} of this chain needs {needed} storage providers, a primary and "
            f"{params.n} secondaries, and {len(providers)} are on it: no object could be sealed",
            endpoint,
            "Register more of them, or use a chain whose objects need less",
        )
    known = {provider.operator_address for provider in providers}
    for address in hosted:
        if address not in known:
            raise UnknownStorageProvider(
                f"{address}, whose keys we have, is not a storage provider on this chain",
                endpoint,
                "Check the key file, or choose another --state-dir",
            )
