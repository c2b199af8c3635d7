"""Whatever a message holds, the embedded chain answers it and makes its block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from greenray.chain.dialects import v0_2 as dialect
from greenray.chain.dialects.v0_2.messages import MESSAGE_TYPES
from greenray.chain.local.ledger.state import ChainDatabase
from greenray.protocol.errors import InvalidInput
from tests.support.chain_by_hand import ChainByHand
from tests.support.local_chain import (
    BUCKET,
    address,
    create_bucket,
    create_object,
    seal_object,
    signed,
    small_genesis,
)

USER, GUEST = address("user"), address("sp-5-gc")
GENESIS = small_genesis({"stale_policy_cleanup_max": 2, "discontinue_confirm_period": 2})
NAMES = {address(name): name for name in ("user", "sp-5-gc", "sp-0-seal", "sp-0-gc")}

odd_texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.sampled_from(["0x", "0", "1", "-1", "0x1", "x" * 70, f"0x{'7' * 40}", USER.lower()]),
)
texts = st.one_of(
    st.sampled_from(
        [
            *NAMES,
            *(BUCKET, "other-bucket", "sealed", "created", "readers"),
            *(f"grn:b::{BUCKET}", f"grn:o::{BUCKET}/sealed", f"grn:o::{BUCKET}/*"),
            f"grn:g:{USER}:readers",
        ]
    ),
    odd_texts,
)
numbers = st.one_of(st.integers(0, 3), st.sampled_from([10**9, 2**32, 2**64 - 1, 2**64, 10**77]))


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a field's type."""
    arguments = get_args(hint)
    if isinstance(hint, UnionType):
        kept = [one for one in arguments if one is not type(None)]
        return st.one_of(st.none(), *map(values_of, kept))
    if arguments:
        return st.lists(values_of(arguments[0]), max_size=3).map(tuple)
    if hint is str:
        return texts
    if hint is int:
        return numbers
    if hint is bytes:
        return st.binary(max_size=66)
    if hint is dialect.Timestamp:
        return st.builds(hint, st.sampled_from([0, 1_700_000_005, 253_402_300_799]))
    if hasattr(hint, "__members__"):
        return st.sampled_from(list(hint))
    return built(hint)


def built(cls: type[Any]) -> st.SearchStrategy[Any]:
    hints = get_type_hints(cls)
    return st.builds(cls, **{field.name: values_of(hints[field.name]) for field in fields(cls)})


@pytest.fixture(scope="module")
def chain() -> Iterator[ChainByHand]:
    database = ChainDatabase(Path(":memory:"))
    chain = ChainByHand(database, GENESIS)
    first = chain.run(
        ("user", create_bucket()),
        ("user", create_bucket("other-bucket", sp=1)),
        ("user", create_object("sealed")),
        ("user", create_object("created")),
        ("user", dialect.MsgCreateGroup(USER, "readers", (GUEST,))),
    )
    assert first == [("", 0)] * 5
    assert chain.run(("sp-0-seal", seal_object("sealed", 1))) == [("", 0)]
    yield chain
    database.close()


@pytest.mark.parametrize("message_type", MESSAGE_TYPES, ids=lambda cls: cls.__name__)
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_a_message_is_executed_or_refused(
    chain: ChainByHand, message_type: type[dialect.Message], data: st.DataObject
) -> None:
    message = data.draw(built(message_type))
    signer = NAMES.get(dialect.signer_address(message), "user")
    try:
        tx_bytes = signed(GENESIS, signer, message, chain.sequences.get(signer, 0))
    except InvalidInput:
        return
    height = chain.app.head.height
    checked = chain.app.check_tx(tx_bytes)
    (result,) = chain.app.make_block([tx_bytes], chain.app.head.time_ns + 10**9)
    chain.app.reset_check_state()
    assert chain.app.head.height == height + 1
    assert result.code == 0 or result.log
    if checked.code == 0:
        chain.sequences[signer] = chain.sequences.get(signer, 0) + 1
    else:
        assert (result.codespace, result.code) == (checked.codespace, checked.code)


@pytest.mark.parametrize(("seconds", "nanos"), [(-(10**11), 0), (10**12, 0), (0, 10**9), (0, -1)])
def test_a_time_that_is_none_is_refused(seconds: int, nanos: int) -> None:
    with pytest.raises(InvalidInput, match="timestamp"):
        dialect.Timestamp(seconds, nanos)
