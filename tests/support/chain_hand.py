"""What no message of the chain does, done to the state of an embedded chain in this process."""

from __future__ import annotations

import time
from dataclasses import replace

from greenray.chain.addresses import parse_address
from greenray.chain.dialects.v0_2.local_rules.providers import get_provider, put_provider
from greenray.chain.local.ledger.accounts import get_balance, put_balance
from greenray.chain.local.ledger.state import Overlay
from greenray.chain.local.server import RunningChain
from greenray.protocol.objects import ProviderStatus


def set_provider_status(chain: RunningChain, operator_address: str, status: ProviderStatus) -> None:
    """From the next block on, which is made now."""
    app = chain.node.app
    state = Overlay(app.database)
    provider = get_provider(state, app.rules, parse_address(operator_address))
    assert provider is not None
    put_provider(state, replace(provider, status=int(status)))
    _commit(chain, state)


def set_balance(chain: RunningChain, address: str, amount: int) -> int:
    """Of the coin that fees are paid in; returns what it was."""
    app = chain.node.app
    state = Overlay(app.database)
    denom = app.rules.genesis.min_gas_denom
    before = get_balance(state, parse_address(address), denom)
    put_balance(state, parse_address(address), denom, amount)
    _commit(chain, state)
    return before


def _commit(chain: RunningChain, state: Overlay) -> None:
    app = chain.node.app
    app._commit(state, (), (), app.head, time.time_ns(), [], [])
    app.head = app._load_head()
    app.reset_check_state()
