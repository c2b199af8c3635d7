"""What an SDK asks of the embedded chain beside buckets and objects: the node, blocks, prices."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenray.chain import wire
from greenray.chain.local.ledger.state import ChainDatabase
from greenray.chain.local.node import Node
from greenray.chain.local.rpc_methods import CometMethods
from tests.support.chain_by_hand import CLOCK_NS, ChainByHand
from tests.support.chain_replay import DATA
from tests.support.local_chain import address, small_genesis

SERVICE = "/cosmos.base.tendermint.v1beta1.Service/"
SP = "/greenfield.sp.Query/"
GENESIS_S = CLOCK_NS // 10**9


@pytest.fixture(scope="module")
def chain() -> Iterator[ChainByHand]:
    """Of three blocks."""
    database = ChainDatabase(Path(":memory:"))
    chain = ChainByHand(database, small_genesis())
    chain.run()
    chain.run()
    yield chain
    database.close()


def test_the_node_says_what_it_is_in_both_ways(chain: ChainByHand) -> None:
    node = Node(chain.app)
    status = CometMethods(node, "127.0.0.1:26657").methods["status"].call()["node_info"]
    request = wire.tendermint_service.GetNodeInfoRequest().SerializeToString()
    answer = node.queries.answer(SERVICE + "GetNodeInfo", request, 0)
    info = wire.tendermint_service.GetNodeInfoResponse.FromString(answer.value or b"")
    told = info.default_node_info
    assert (told.default_node_id, told.network) == (status["id"], status["network"])
    assert (told.listen_addr, told.other.tx_index) == ("tcp://127.0.0.1:26657", "on")
    assert (told.protocol_version.p2p, told.protocol_version.block) == (8, 11)
    assert told.channels.hex() == status["channels"]
    assert info.application_version.version == "v0.2.0"


def test_the_node_is_never_behind(chain: ChainByHand) -> None:
    service = wire.tendermint_service
    answer = chain.ask(
        SERVICE + "GetSyncing", service.GetSyncingRequest(), service.GetSyncingResponse
    )
    assert answer.syncing is False


def test_a_block_is_found_by_its_height(chain: ChainByHand) -> None:
    service = wire.tendermint_service
    by_height = [
        chain.ask(
            SERVICE + "GetBlockByHeight",
            service.GetBlockByHeightRequest(height=height),
            service.GetBlockByHeightResponse,
        )
        for height in (1, 2, 3)
    ]
    assert [one.block.header.height for one in by_height] == [1, 2, 3]
    assert [one.sdk_block.header.height for one in by_height] == [1, 2, 3]
    latest = chain.ask(
        SERVICE + "GetLatestBlock", service.GetLatestBlockRequest(), service.GetLatestBlockResponse
    )
    assert by_height[-1].SerializeToString() == latest.SerializeToString()


@pytest.mark.parametrize(
    ("height", "log"),
    [
        (
            4,
            "rpc error: code = InvalidArgument desc = requested block height is bigger then the"
            " chain length: invalid request",
        ),
        (0, "height must be greater than 0, but got 0: invalid request"),
        (-1, "height must be greater than 0, but got -1: invalid request"),
    ],
)
def test_a_block_that_is_not_there_is_refused(chain: ChainByHand, height: int, log: str) -> None:
    asked = wire.tendermint_service.GetBlockByHeightRequest(height=height)
    assert chain.refused_answer(SERVICE + "GetBlockByHeight", asked) == (18, log)


def test_the_price_of_a_provider_is_what_it_began_with(chain: ChainByHand) -> None:
    operator = address("sp-0-operator")
    for timestamp in (0, GENESIS_S + 1):
        price = chain.ask(
            SP + "QueryGetSpStoragePriceByTime",
            wire.sp.QueryGetSpStoragePriceByTimeRequest(sp_addr=operator, timestamp=timestamp),
            wire.sp.QueryGetSpStoragePriceByTimeResponse,
        ).sp_storage_price
        assert (price.sp_address, price.update_time_sec) == (operator, GENESIS_S)
        assert (price.read_price, price.store_price) == ("87000000000000000", "4800000000000000")
        assert price.free_read_quota == 10**10


def test_the_price_of_secondaries_is_a_share_of_the_average(chain: ChainByHand) -> None:
    price = chain.ask(
        SP + "QueryGetSecondarySpStorePriceByTime",
        wire.sp.QueryGetSecondarySpStorePriceByTimeRequest(),
        wire.sp.QueryGetSecondarySpStorePriceByTimeResponse,
    ).secondary_sp_store_price
    assert (price.update_time_sec, price.store_price) == (GENESIS_S, str(65 * 48 * 10**12))


def test_there_is_no_price_before_the_genesis(chain: ChainByHand) -> None:
    first = min(address(f"sp-{i}-operator").lower() for i in range(7))
    asked = wire.sp.QueryGetSpStoragePriceByTimeRequest(sp_addr=first, timestamp=GENESIS_S)
    assert chain.refused_answer(SP + "QueryGetSpStoragePriceByTime", asked) == (
        22,
        "rpc error: code = NotFound desc = not found, err: no price found: key not found",
    )
    secondary = wire.sp.QueryGetSecondarySpStorePriceByTimeRequest(timestamp=GENESIS_S)
    assert chain.refused_answer(SP + "QueryGetSecondarySpStorePriceByTime", secondary) == (
        6,
        "rpc error: code = Internal desc = err: no price found: unknown request",
    )


@pytest.mark.parametrize(
    ("sp_addr", "timestamp", "what"),
    [("", -1, "invalid timestamp"), ("0x12", 0, "invalid sp address")],
)
def test_nonsense_has_no_price(chain: ChainByHand, sp_addr: str, timestamp: int, what: str) -> None:
    asked = wire.sp.QueryGetSpStoragePriceByTimeRequest(sp_addr=sp_addr, timestamp=timestamp)
    assert chain.refused_answer(SP + "QueryGetSpStoragePriceByTime", asked) == (
        18,
        f"rpc error: code = InvalidArgument desc = {what}: invalid request",
    )


def test_all_balances_of_an_account_are_told(chain: ChainByHand) -> None:
    bank, path = wire.bank, "/cosmos.bank.v1beta1.Query/AllBalances"
    asked = bank.QueryAllBalancesRequest(address=address("user"))
    answer = chain.ask(path, asked, bank.QueryAllBalancesResponse)
    assert [(coin.denom, coin.amount) for coin in answer.balances] == [("BNB", str(10**26))]
    assert answer.pagination.total == 1
    nobody = bank.QueryAllBalancesRequest(address="0x" + "7" * 40)
    assert list(chain.ask(path, nobody, bank.QueryAllBalancesResponse).balances) == []


def test_the_limits_of_policies_are_told(chain: ChainByHand) -> None:
    permission = wire.permission
    params = chain.ask(
        "/greenfield.permission.Query/Params",
        permission.QueryParamsRequest(),
        permission.QueryParamsResponse,
    ).params
    assert (params.maximum_statements_num, params.maximum_group_num) == (10, 10)


def test_the_node_info_is_the_recorded_one_but_for_what_is_a_node_s_own(chain: ChainByHand) -> None:
    samples = json.loads((DATA / "chain-v0_2.json").read_text())["rpc"]
    (sample,) = [one for one in samples if one["label"] == "GetNodeInfo"]
    value = json.loads(sample["response_body"])["result"]["response"]["value"]
    response = wire.tendermint_service.GetNodeInfoResponse
    recorded = response.FromString(base64.b64decode(value)).default_node_info
    own = chain.ask(
        SERVICE + "GetNodeInfo", wire.tendermint_service.GetNodeInfoRequest(), response
    ).default_node_info
    assert len(own.default_node_id) == len(recorded.default_node_id)
    for info in (own, recorded):
        for name in ("default_node_id", "listen_addr", "network", "moniker"):
            info.ClearField(name)
        info.other.ClearField("rpc_address")
    assert own == recorded
