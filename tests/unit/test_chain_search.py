"""tx_search: the grammar with the real parser's error texts, and what a search finds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from greenray.chain.local.ledger.state import ChainDatabase, StoredBlock, StoredTransaction
from greenray.chain.local.query_language import Condition, Moment, QuerySyntaxError, parse_query
from greenray.chain.local.tx_search import SearchFault, SearchPanic, find

HASH = bytes(range(32))


@pytest.fixture
def database() -> Iterator[ChainDatabase]:
    """At heights 1 to 3 one transaction each; the second has two events."""
    database = ChainDatabase(Path(":memory:"))
    tags = {
        1: (("message.action", "/a.Seal", 0), ("message.module", "storage", 0)),
        2: (("message.action", "/a.Send", 0), ("message.module", "storage", 1), ("n.v", "7", 1)),
        3: (("tx.acc_seq", "0xAB/12", 0), ("n.v", "12", 1), ("n.v", "x12", 2)),
    }
    for height, of_block in tags.items():
        transaction = StoredTransaction(height, 0, HASH if height == 2 else b"h", b"", "", of_block)
        database.commit(StoredBlock(height, bytes([height]), b"", "{}"), {}, [transaction])
    yield database
    database.close()


def test_conditions_know_numbers_texts_and_moments() -> None:
    query = "a=5 AND b=5.25 AND c='5' AND d > TIME 2023-05-03T14:45:00Z AND e = DATE 2023-05-03"
    assert parse_query(query) == [
        Condition("a", "=", 5),
        Condition("b", "=", 5.25),
        Condition("c", "=", "5"),
        Condition("d", ">", Moment("2023-05-03T14:45:00Z")),
        Condition("e", "=", Moment("2023-05-03")),
    ]


def test_conditions_are_joined_with_and() -> None:
    query = "message.action='/a.B' AND tx.height>=5 AND x.y CONTAINS 'AND' AND z EXISTS"
    assert parse_query(query) == [
        Condition("message.action", "=", "/a.B"),
        Condition("tx.height", ">=", 5),
        Condition("x.y", "CONTAINS", "AND"),
        Condition("z", "EXISTS", None),
    ]


def test_words_count_in_any_case() -> None:
    assert parse_query("a contains 'x' and b Exists") == [
        Condition("a", "CONTAINS", "x"),
        Condition("b", "EXISTS", None),
    ]


@pytest.mark.parametrize(
    ("query", "near"),
    [
        ("", 'Unknown (line 1 symbol 1 - line 1 symbol 1):\n""'),
        ("nonsense", 'PegText (line 1 symbol 2 - line 1 symbol 10):\n"nonsense"'),
        (" a=1", 'Unknown (line 1 symbol 1 - line 1 symbol 1):\n""'),
        ("a=1 ", 'PegText (line 1 symbol 4 - line 1 symbol 5):\n"1"'),
        ("a=12 b=1", 'digit (line 1 symbol 5 - line 1 symbol 6):\n"2"'),
        ("a=05", 'PegText (line 1 symbol 4 - line 1 symbol 5):\n"0"'),
        ("a<='x'", 'le (line 1 symbol 3 - line 1 symbol 5):\n"<="'),
        ("a='\"1\"'", 'equal (line 1 symbol 3 - line 1 symbol 4):\n"="'),
        ("a='x' AND", 'and (line 1 symbol 8 - line 1 symbol 11):\n"AND"'),
        ("a CONTAINS 5", 'contains (line 1 symbol 4 - line 1 symbol 12):\n"CONTAINS"'),
        ("a\n=1", 'PegText (line 1 symbol 2 - line 2 symbol 0):\n"a"'),
    ],
)
def test_a_syntax_error_names_the_rule_that_got_farthest(query: str, near: str) -> None:
    with pytest.raises(QuerySyntaxError) as raised:
        parse_query(query)
    assert str(raised.value) == f"\nparse error near {near}\n"


@pytest.mark.parametrize(
    ("query", "heights"),
    [
        ("message.action='/a.Seal' AND message.module='storage'", [1]),
        # Both are in the transaction at height 2, but not in one event.
        ("message.action='/a.Send' AND message.module='storage'", []),
        ("message.module='storage'", [1, 2]),
        ("message.module='storage' AND tx.height=2", [2]),
        ("message.module='storage' AND tx.height>1", [2]),
        ("message.module='storage' AND tx.height=0", [1, 2]),
        ("tx.height>=2 AND tx.height<3", [2]),
        ("tx.height=2 AND tx.height=3", [2]),
        ("tx.height=1 AND tx.height>2", [3]),
        ("tx.height EXISTS", [1, 2, 3]),
        ("tx.height>1.5", []),
        ("n.v>7", [3]),
        ("n.v>=7 AND n.v<=7", [2]),
        ("n.v=12", [3]),
        ("n.v CONTAINS '12'", [3]),
        ("n.v EXISTS", [2, 3]),
        # The node looks for keys that start with the value and a slash.
        ("tx.acc_seq='0xAB'", [3]),
        ("tx.acc_seq='0xA'", []),
        ("message.action=TIME 2023-05-03T14:45:00Z", []),
        (f"tx.hash='{HASH.hex()}' AND tx.height=1", [2]),
        (f"tx.hash='{'00' * 32}'", []),
        ("tx.height>99999999999999999999", []),
    ],
)
def test_a_search_finds_what_the_node_finds(
    database: ChainDatabase, query: str, heights: list[int]
) -> None:
    assert [height for height, _ in find(database, parse_query(query))] == heights


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("tx.hash='xy'", "searching for a hash in the query: encoding/hex: invalid byte"),
        ("tx.hash=''", "transaction hash cannot be empty"),
    ],
)
def test_a_wrong_hash_is_an_error(database: ChainDatabase, query: str, text: str) -> None:
    with pytest.raises(SearchFault, match=text):
        find(database, parse_query(query))


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("tx.hash=5", "is int64, not string"),
        ("tx.hash EXISTS", "is nil, not string"),
        ("tx.height='5'", "is string, not int64"),
        ("tx.height=5.5", "is float64, not int64"),
    ],
)
def test_an_operand_of_another_type_makes_the_node_panic(
    database: ChainDatabase, query: str, text: str
) -> None:
    with pytest.raises(SearchPanic, match=text):
        find(database, parse_query(query))
