"""What somebody else wrote, before it reaches a terminal or a log."""

from __future__ import annotations

import json
import pickle
from types import MappingProxyType

import pytest

from greenray.protocol.document_form import NULL, misfit
from greenray.protocol.errors import GreenrayError, TransactionRefused
from greenray.protocol.foreign_text import printable, printable_lines, printable_values


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, größer, 木", "plain, größer, 木"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\r\nb\tc", "a  b c"),
        ("\x00\x7f\x9b", "\\x00\\x7f\\x9b"),
        ("\u202eabc\u2028", "\\u202eabc\\u2028"),
        ("\udc80", "\\udc80"),
        ("", ""),
    ],
)
def test_text_is_shown_in_one_line_of_printable_characters(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_what_is_long_is_cut_once() -> None:
    cut = printable("x" * 10_000, 100)
    assert len(cut) == 100
    assert cut.endswith("(cut)")
    assert printable(cut, 100) == cut


def test_lines_of_our_own_stay() -> None:
    assert printable_lines("a\nb\x1bc\n") == "a\nb\\x1bc\n"


def test_texts_of_a_document_are_shown_wherever_they_are() -> None:
    document = json.loads('{"a\\u001b": ["\\u001b", {"b": "\\u001b"}], "c": 1.5, "d": null}')
    shown = {"a\\x1b": ["\\x1b", {"b": "\\x1b"}], "c": 1.5, "d": None}
    assert printable_values(document) == shown


def test_an_error_is_one_printable_line_also_after_a_journey() -> None:
    error = TransactionRefused("a\x1b\nb", "c\x07", "d\r", "sdk", 5)
    assert str(error) == "c\\x07: a\\x1b b. d "
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    long = GreenrayError("x" * 100_000)
    assert len(str(long)) < 10_000
    assert str(pickle.loads(pickle.dumps(long))) == str(long)


@pytest.mark.parametrize(
    ("value", "form", "problem"),
    [
        (1, int, None),
        (True, int, "x is not of type int"),
        (1, float, None),
        (float("nan"), float, "x is not of type float"),
        ("a", (NULL, str), None),
        (None, (NULL, str), None),
        (1, (NULL, str), "x is not of type str"),
        ("c", frozenset({"a", "b"}), "x is none of the values that are known here"),
        ([], frozenset({"a"}), "x is none of the values that are known here"),
        ([1, "a"], [int], "x[1] is not of type int"),
        ({"a": {"b": 1}}, {"a": {"b": str}}, "x.a.b is not of type str"),
        ({}, {"a": int}, "x.a is not of type int"),
        ({"a": 1, "b": 2}, {"a": int}, None),
        (MappingProxyType({"a": 1}), {"a": int}, None),
        ([], {}, "x is not an object"),
        ({}, [int], "x is not a list"),
    ],
)
def test_what_does_not_fit_is_named(value: object, form: object, problem: str | None) -> None:
    assert misfit(value, form, "x") == problem
