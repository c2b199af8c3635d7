"""The embedded chain's HTTP interface gives the recorded node's answers, byte for byte where
nothing depends on heights, times, hashes or what else the recorded node had seen."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import aiohttp

from greenray.chain.local.server import bind, listening
from tests.support.chain_replay import DATA, Replay, ReplayChain, recorded_genesis
from tests.support.chain_rpc_samples import (
    BLOCK_BEFORE,
    BY_SHAPE,
    LEFT_OUT,
    compare_sample,
    make_blocks_for_commits,
)

RECORDING = json.loads((DATA / "chain-v0_2.json").read_text())
IN_SCOPE = [r for r in RECORDING["rpc"] if r["kind"] not in ("grpc", "rest")]
MAX_LEFT_OUT_SHARE = 0.05


# Where the recorded node stood at its first transaction, and when the interface was recorded.
FIRST_TRANSACTION_HEIGHT = 17
RECORDED_HEIGHT = 290


def _make_blocks(chain: ReplayChain, height: int) -> None:
    while chain.node.app.head.height < height:
        chain.node.make_block()


async def test_recorded_requests_get_the_recorded_answers(
    tmp_path: Path, show: Callable[[str], None]
) -> None:
    chain = ReplayChain(tmp_path, recorded_genesis())
    differences: list[str] = []
    masked = run = by_shape = 0
    try:
        _make_blocks(chain, FIRST_TRANSACTION_HEIGHT - 1)
        replay = Replay(chain, RECORDING)
        replay.run()
        replay.make_second_run()
        _make_blocks(chain, RECORDED_HEIGHT)
        make_blocks_for_commits(chain)
        with bind("127.0.0.1", 0) as listener:
            async with (
                listening(chain.node, "127.0.0.1", listener) as endpoint,
                aiohttp.ClientSession() as session,
            ):
                for sample in IN_SCOPE:
                    if sample["label"] in LEFT_OUT:
                        continue
                    if sample["label"] in BLOCK_BEFORE:
                        chain.node.make_block()
                    by_shape += sample["label"] in BY_SHAPE
                    outcome = await compare_sample(session, endpoint, sample)
                    run += 1
                    masked += outcome.masked
                    differences += outcome.differences
    finally:
        chain.close()
    left_out = len(IN_SCOPE) - run
    show(
        f"replay of rpc: {run} samples run, {run - len(differences)} equal"
        f" ({masked} masked in part, {by_shape} by shape in part), {left_out} left out"
    )
    assert differences == [], "\n".join(differences)
    assert left_out < MAX_LEFT_OUT_SHARE * len(IN_SCOPE)
