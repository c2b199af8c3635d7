"""The embedded chain gives the answers that a real v0.2.0 node gave (issue: same codes, codespaces
and logs at simulate, CheckTx and DeliverTx)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.chain_replay import (
    DATA,
    JailedReplay,
    Replay,
    ReplayChain,
    jailed_genesis,
    recorded_genesis,
)

RECORDING = json.loads((DATA / "chain-v0_2.json").read_text())
MAX_LEFT_OUT_SHARE = 0.05


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[ReplayChain]:
    chain = ReplayChain(tmp_path, recorded_genesis())
    yield chain
    chain.close()


def test_replayed_transactions_get_the_recorded_answers(
    chain: ReplayChain, show: Callable[[str], None]
) -> None:
    report = Replay(chain, RECORDING).run()
    show(report.summary("replay of accepted and errors"))
    assert report.differences == [], "\n".join(report.differences)
    assert len(report.left_out) < MAX_LEFT_OUT_SHARE * len(RECORDING["errors"])


def test_jailed_providers_are_refused_as_recorded(tmp_path: Path) -> None:
    chain = ReplayChain(tmp_path, jailed_genesis())
    try:
        report = JailedReplay(chain, RECORDING).run()
    finally:
        chain.close()
    assert report.run == 2
    assert report.differences == [], "\n".join(report.differences)


def test_an_approval_is_valid_up_to_its_height(chain: ReplayChain) -> None:
    """The recorded notes: at height 49, 47 and 48 are expired and 49 is not."""
    replay = Replay(chain, RECORDING)
    for _ in range(10):
        chain.node.make_block()
    for note in RECORDING["notes"]["approval_expiry"]:
        height = chain.node.app.head.height + 1
        expired_height = height + note["expired_height"] - note["height"]
        result = replay.create_expiring_bucket(f"bucket-{expired_height}", expired_height)
        assert (result.codespace, result.code) == (note["codespace"], note["code"])
        if note["code"]:
            assert result.log == note["log"]


def test_several_transactions_of_one_account_fit_into_one_block(chain: ReplayChain) -> None:
    """The recorded notes: five queued, a gap refused, the committed sequence unchanged."""
    note = RECORDING["notes"]["queue"]
    replay = Replay(chain, RECORDING)
    signer = RECORDING["keys"]["greenray-user-2"]["address"]
    codes = [replay.submit_transfer(signer, sequence)["code"] for sequence in range(5)]
    gap = replay.submit_transfer(signer, 6)
    assert codes == note["codes"]
    assert gap["code"] == note["gap"]["code"]
    assert gap["log"] == "account sequence mismatch, expected 5, got 6: incorrect account sequence"
    assert chain.sequence(signer) == 0
    assert [result.code for result in chain.node.make_block()] == [0] * 5
    assert chain.sequence(signer) == 5
