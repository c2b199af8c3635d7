"""Whatever is posted or asked for, the chain answers as a JSON-RPC server, and never breaks."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from greenray.chain.dialects import get_local_dialect
from greenray.chain.dialects import v0_2 as dialect
from greenray.chain.local.app import Application, SimulationFault
from greenray.chain.local.evm import EvmMethods
from greenray.chain.local.ledger.state import ChainDatabase
from greenray.chain.local.node import Node
from greenray.chain.local.rpc import HttpAnswer, answer_get, answer_post
from greenray.chain.local.rpc_methods import CometMethods
from tests.support.local_chain import (
    create_bucket,
    create_object,
    seal_object,
    signed,
    small_genesis,
)

ERROR_CODES = {-32700, -32600, -32601, -32602, -32603}
EVM_METHODS = ("eth_chainId", "eth_getBalance", "eth_getBlockByNumber", "net_version", "eth_call")
# Its answer waits for a block, which nobody makes here.
LEFT_OUT = "broadcast_tx_commit"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    database = ChainDatabase(tmp_path_factory.mktemp("chain") / "chain.sqlite")
    node = Node(Application(database, get_local_dialect(), small_genesis(), 10**18))
    node.make_block()
    yield node
    database.close()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=6,
)
# Texts that some parameter or other reads as more than text.
telling = st.sampled_from(
    ["0", "-1", "null", "1.5", "9" * 20, "0x", "0a", "YWJj", '"1"', "tx.height=1", "tx.hash=5"]
) | st.sampled_from(
    ["/app/version", "/cosmos.auth.v1beta1.Query/Account", "\ud800", "MA==", "eyJtZXRob2QiOjV9"]
)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_every_request_gets_a_wellformed_answer(node: Node, data: st.DataObject) -> None:
    methods = CometMethods(node, "127.0.0.1:1").methods
    name = data.draw(st.sampled_from([*sorted({*methods, *EVM_METHODS} - {LEFT_OUT}), "nope", 7]))
    arguments = methods[name].arguments if name in methods else ()
    values = telling | json_values
    by_name = st.fixed_dictionaries({}, optional={one.name: values for one in arguments})
    by_position = st.lists(values, max_size=len(arguments) + 1)
    request = {
        "jsonrpc": data.draw(st.sampled_from(["2.0", "1.0", None, 2])),
        "id": data.draw(st.integers() | st.text(max_size=3) | json_values),
        "method": name,
        "params": data.draw(by_name | by_position | json_values),
    }
    body = request if data.draw(st.booleans()) else [request, data.draw(json_values), request]
    answer = asyncio.run(answer_post(json.dumps(body).encode(), methods, EvmMethods(node).answer))
    _check(answer)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_every_get_gets_a_wellformed_answer(node: Node, data: st.DataObject) -> None:
    methods = CometMethods(node, "127.0.0.1:1").methods
    method = methods[data.draw(st.sampled_from(sorted(set(methods) - {LEFT_OUT})))]
    values = telling | st.text(max_size=8) | telling.map(json.dumps)
    query = {one.name: data.draw(values) for one in method.arguments}
    _check(asyncio.run(answer_get(method, query)))


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    body=st.binary(min_size=1, max_size=40)
    | st.text('{}[]":,idmethod15 \\u', min_size=1).map(str.encode)
)
def test_bytes_that_are_hardly_json_get_a_wellformed_answer(node: Node, body: bytes) -> None:
    _check(asyncio.run(answer_post(body, CometMethods(node, "127.0.0.1:1").methods)))


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    message=st.sampled_from([create_bucket(), create_object("o"), seal_object("o", 1)]),
    changes=st.lists(
        st.tuples(st.integers(0, 2000), st.integers(0, 255), st.booleans()), max_size=4
    ),
)
def test_a_spoilt_transaction_is_refused_and_breaks_nothing(
    node: Node, message: dialect.Message, changes: list[tuple[int, int, bool]]
) -> None:
    signer = "sp-0-seal" if isinstance(message, dialect.MsgSealObject) else "user"
    tx_bytes = bytearray(signed(small_genesis(), signer, message, 0))
    for position, byte, inserted in changes:
        at = position % len(tx_bytes)
        tx_bytes[at : at + (not inserted)] = bytes([byte])
    before = node.app.check_tx(bytes(tx_bytes))
    node.app.reset_check_state()
    with contextlib.suppress(SimulationFault):
        node.app.simulate(bytes(tx_bytes))
    (delivered,) = node.app.make_block([bytes(tx_bytes)], 0)
    assert before.code >= 0
    assert bool(before.codespace) == bool(before.code)
    assert bool(delivered.codespace) == bool(delivered.code)


def _check(answer: HttpAnswer) -> None:
    assert answer.status in (200, 500)
    text = answer.text()
    if not text:
        return
    parsed = json.loads(text)
    for one in parsed if isinstance(parsed, list) else [parsed]:
        assert one["jsonrpc"] == "2.0"
        assert ("error" in one) != ("result" in one)
        if "error" in one:
            assert one["error"]["code"] in ERROR_CODES
