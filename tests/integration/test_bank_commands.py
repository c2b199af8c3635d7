"""``greenray bank`` and ``greenray keys fund`` on a chain that runs, by what a network's state
directory says of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from greenray.chain.crypto import address_of
from greenray.chain.keystore import import_key
from greenray.cli.app import app
from greenray.cluster.config.state_dir import StateDir
from greenray.cluster.local_chain.keys import USER_KEY_NAME
from tests.support.local_chain import ChainProcess, address, key, small_genesis, write_genesis
from tests.unit.test_state_dir import NETWORK

PASSWORD = "a long password"
NEWCOMER = bytes(range(1, 33))
ROOT_BALANCE = 10**26


@dataclass(frozen=True)
class Network:
    state_dir: Path
    keystore: Path

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(
            app,
            [*arguments, "--state-dir", str(self.state_dir)],
            env={"GREENRAY_KEY_PASSWORD": PASSWORD},
        )

    def document(self, *arguments: str) -> dict[str, Any]:
        result = self.run(*arguments, "--json")
        assert result.exit_code == 0, result.output
        document: dict[str, Any] = json.loads(result.stdout)
        return document

    def refusal(self, *arguments: str) -> dict[str, Any]:
        result = self.run(*arguments, "--json")
        assert result.exit_code == 1, result.output
        document: dict[str, Any] = json.loads(result.stdout)["error"]
        return document


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """What ``greenray up`` leaves for clients: the chain, its user's key, and where both are."""
    directory = tmp_path_factory.mktemp("bank")
    keys = directory / "keys.json"
    entry = {"private_key": key("user").hex(), "address": address("user")}
    keys.write_text(json.dumps({"chain_id": "greenfield_9000-7", "keys": {USER_KEY_NAME: entry}}))
    genesis = write_genesis(directory / "genesis.json", small_genesis())
    chain = ChainProcess(directory / "home", "--genesis", str(genesis), "--block-interval", "0.05")
    state = StateDir(directory / "state")
    state.lock()
    try:
        state.write_network(
            replace(
                NETWORK,
                chain_endpoint=chain.endpoint,
                chain_id="greenfield_9000-7",
                keys=str(keys),
                user_key_name=USER_KEY_NAME,
            )
        )
        import_key(directory / "me.json", NEWCOMER, PASSWORD)
        yield Network(directory / "state", directory / "me.json")
    finally:
        state.unlock()
        chain.stop()


def test_a_new_key_is_funded_and_can_send_itself(network: Network) -> None:
    me = address_of(NEWCOMER)
    assert network.document("bank", "balance", me) == {"address": me, "balance": "0"}
    funded = network.document("keys", "fund", str(network.keystore))
    assert (funded["sender"], funded["receiver"]) == (address("user"), me)
    assert (funded["amount"], funded["balance"]) == (str(10**19), str(10**19))
    assert re.fullmatch(r"[0-9A-F]{64}", funded["tx_hash"])

    other = "0x7777777777777777777777777777777777777777"
    sent = network.run("bank", "send", other, "0.25", "--key", str(network.keystore))
    assert sent.exit_code == 0, sent.output
    assert sent.stdout.startswith(f"{other} got 0.25 BNB and has 0.25 BNB, sent by ")
    left = int(network.document("bank", "balance", "--key", str(network.keystore))["balance"])
    assert 9_740_000_000_000_000_000 < left < 9_750_000_000_000_000_000


def test_an_address_gets_as_much_as_is_said(network: Network) -> None:
    receiver = "0x" + "12" * 20
    funded = network.run("keys", "fund", receiver, "1.5")
    assert funded.exit_code == 0, funded.output
    assert funded.stdout.startswith(f"{receiver} got 1.5 BNB and has 1.5 BNB, sent by ")
    own = network.document("bank", "balance")
    assert own["address"] == address("user")
    assert int(own["balance"]) < ROOT_BALANCE


@pytest.mark.parametrize(
    ("arguments", "reason", "what"),
    [
        (("keys", "fund", "0x12"), "invalid-input", "not an address: invalid address hex length"),
        (("bank", "send", "0x" + "1" * 40, "0"), "invalid-input", "more than nothing"),
        (("bank", "send", "0x" + "1" * 40, "lots"), "invalid-input", "not an amount of BNB"),
        (("bank", "send", "0x" + "1" * 40, "200000000"), "insufficient-funds", "cannot pay"),
        (("bank", "send", "0x" + "1" * 40, "1", "--key", "none.json"), "keystore-error", "no such"),
    ],
)
def test_nonsense_is_refused_with_what_is_wrong(
    network: Network, arguments: tuple[str, ...], reason: str, what: str
) -> None:
    error = network.refusal(*arguments)
    assert (error["reason"], what in error["message"]) == (reason, True), error


def test_without_a_network_nothing_is_sent(tmp_path: Path) -> None:
    alone = Network(tmp_path, tmp_path / "me.json")
    assert alone.refusal("keys", "fund", "0x" + "1" * 40)["reason"] == "not-running"
