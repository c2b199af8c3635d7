"""Keys and genesis of a new local chain; they are worth nothing elsewhere."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from greenray.chain.dialects import get_local_dialect
from greenray.chain.local.ledger.genesis import GenesisProvider, build_genesis, genesis_to_json
from greenray.cluster.local_chain import keys as local_keys


def write_local_genesis(
    keys_file: Path,
    genesis_file: Path,
    endpoints: Sequence[str],
    dialect: str,
    params: Mapping[str, Any] | None = None,
) -> None:
    """Make keys for one SP per endpoint and one user, and the genesis that knows them.

    The genesis appears last and complete; without it, everything is made anew. ``params`` override
    chain parameters, e.g. ``{"max_segment_size": 4096}``. Raises InvalidInput, InvalidSetting.
    """
    local_keys.make_key_file(keys_file, len(endpoints))
    addresses = local_keys.addresses(keys_file)
    providers = [
        GenesisProvider(
            operator_address=addresses[f"greenray-sp-{i}-operator"],
            funding_address=addresses[f"greenray-sp-{i}-funding"],
            seal_address=addresses[f"greenray-sp-{i}-seal"],
            approval_address=addresses[f"greenray-sp-{i}-approval"],
            gc_address=addresses[f"greenray-sp-{i}-gc"],
            endpoint=endpoint,
            moniker=f"sp{i}",
        )
        for i, endpoint in enumerate(endpoints)
    ]
    genesis = build_genesis(
        providers,
        [addresses[local_keys.USER_KEY_NAME]],
        chain_id=local_keys.LOCAL_CHAIN_ID,
        fixed_gas=get_local_dialect(dialect).fixed_gas,
        overrides=params,
    )
    temporary = genesis_file.with_suffix(".tmp")
    temporary.write_text(json.dumps(genesis_to_json(genesis), indent=1))
    os.replace(temporary, genesis_file)
