"""``make test-chain``: the recorded transactions against a running node, as fresh ones."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from greenray.chain.crypto import address_of
from greenray.chain.dialects import get_local_dialect
from greenray.chain.local.ledger.genesis import Genesis, GenesisProvider, build_genesis
from greenray.protocol.names import check_bucket_name
from tests.support.chain_replay import DATA
from tests.support.live_node import load_keys
from tests.support.live_replay import NEEDED_KEYS, Names, main, run_suite
from tests.support.local_chain import ChainProcess, genesis_provider, write_genesis

RECORDING = DATA / "chain-v0_2.json"
SAMPLES = 222
BLOCK_INTERVAL_S = "0.05"


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """``greenray chain serve`` on the recorded genesis, where rejects are corrected."""
    home = tmp_path_factory.mktemp("served")
    command = [sys.executable, "-m", "greenray", "chain", "serve", "--home", str(home)]
    command += ["--port", "0", "--genesis", str(DATA / "genesis-v0_2.json")]
    process = subprocess.Popen(
        [*command, "--block-interval", BLOCK_INTERVAL_S], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    yield json.loads(process.stdout.readline())["endpoint"]
    process.terminate()
    process.wait(timeout=30)
    process.stdout.close()


def test_the_suite_passes_twice_in_a_row_on_the_same_node(
    endpoint: str, capsys: pytest.CaptureFixture[str], show: Callable[[str], None]
) -> None:
    for _ in range(2):
        assert main([endpoint, str(RECORDING)]) == 0
    printed = capsys.readouterr().out
    show(printed.splitlines()[-1])
    assert printed.count("218 samples run, 688 of 688 answers equal") == 2
    assert "left out: bucket with a jailed primary SP: needs a provider that is in jail" in printed
    assert "left out: reject by the registered seal key: needs a genesis with" in printed


def test_fresh_names_are_never_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda size: "1" * (2 * size))
    recording = json.loads(RECORDING.read_text())
    names = Names(load_keys(RECORDING, NEEDED_KEYS), recording)
    assert names.bucket("pub.1.2.3") == "p11111111.1.2.3"
    check_bucket_name(names.bucket("pub.1.2.3"))


def test_other_keys_another_chain_id_and_gas_price_are_no_difference(tmp_path: Path) -> None:
    keys = {name: hashlib.sha256(f"other {name}".encode()).digest() for name in _all_names()}
    genesis = _genesis_of(keys)
    document = {
        "chain": {"chain_id": genesis.chain_id},
        "keys": {name: {"private_key": keys[name].hex()} for name in NEEDED_KEYS},
    }
    keys_path = tmp_path / "keys.json"
    keys_path.write_text(json.dumps(document))
    path = write_genesis(tmp_path / "genesis.json", genesis)
    chain = ChainProcess(
        tmp_path / "home", "--genesis", str(path), "--block-interval", BLOCK_INTERVAL_S
    )
    try:
        report = run_suite(chain.endpoint, keys_path)
    finally:
        chain.stop()
    assert report.differences == [], "\n".join(report.differences)
    assert report.run + len(report.left_out) == SAMPLES
    # With this genesis, rejects behave as recorded.
    assert sorted(report.left_out) == [
        "bucket with a jailed primary SP",
        "seal with a jailed secondary at index 3",
    ]


@pytest.mark.parametrize(
    ("address", "content", "text"),
    [
        ("http://127.0.0.1:1", None, "no node answers at http://127.0.0.1:1/"),
        ("nonsense", None, "is not a URL"),
        (None, "{", "is not a keys file"),
        (None, "{}", "is not a keys file"),
        (None, '{"chain_id": "x", "keys": {}}', "has no key named greenray-sp-0-operator"),
    ],
)
def test_what_cannot_be_run_is_said(
    endpoint: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    address: str | None,
    content: str | None,
    text: str,
) -> None:
    path = RECORDING
    if content is not None:
        path = tmp_path / "keys.json"
        path.write_text(content)
    assert main([address or endpoint, str(path)]) == 2
    assert text in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"chain_id": "greenfield_1-1"}, "the keys are for greenfield_1-1, the node runs green"),
        ({"swap": "greenray-sp-3-seal"}, "no storage provider with the keys of greenray-sp-3-op"),
        ({"swap": "greenray-user-0"}, "the account of greenray-user-0 does not exist"),
    ],
)
def test_keys_of_another_network_are_refused(
    endpoint: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, str],
    text: str,
) -> None:
    recording = json.loads(RECORDING.read_text())
    document = {"chain_id": recording["chain"]["chain_id"], "keys": recording["keys"]}
    swapped = change.pop("swap", None)
    if swapped is not None:
        document["keys"] |= {swapped: {"private_key": os.urandom(32).hex()}}
    path = tmp_path / "keys.json"
    path.write_text(json.dumps(document | change))
    assert main([endpoint, str(path)]) == 2
    assert text in capsys.readouterr().err


def _all_names() -> list[str]:
    others = [f"greenray-sp-{number}-{role}" for number in range(7) for role in ("funding", "gc")]
    return [*NEEDED_KEYS, *others]


def _genesis_of(keys: dict[str, bytes]) -> Genesis:
    def provider(number: int) -> GenesisProvider:
        return genesis_provider(lambda role: address_of(keys[f"greenray-sp-{number}-{role}"]))

    providers = [provider(number) for number in range(7)]
    user = address_of(keys["greenray-user-0"])
    genesis = build_genesis(
        providers,
        [user],
        fixed_gas=get_local_dialect().fixed_gas,
        chain_id="greenfield_777-3",
    )
    params = replace(genesis.params, recorded_reject_seal=True)
    return replace(genesis, params=params, min_gas_price=7_000_000_000)
