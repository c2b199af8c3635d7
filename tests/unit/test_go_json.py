from __future__ import annotations

import json

import pytest

from greenray.protocol.go_json import dump, quoted, sorted_compact


def test_control_characters_are_escaped_as_go_1_20_does() -> None:
    # Written by Go: \b and \f have no short form there, U+007F is not escaped.
    text = "".join(chr(code) for code in range(0x20)) + "\x7f"
    assert dump(text, sort_keys=False) == (
        '"\\u0000\\u0001\\u0002\\u0003\\u0004\\u0005\\u0006\\u0007\\u0008\\t\\n\\u000b\\u000c\\r'
        "\\u000e\\u000f\\u0010\\u0011\\u0012\\u0013\\u0014\\u0015\\u0016\\u0017\\u0018\\u0019"
        '\\u001a\\u001b\\u001c\\u001d\\u001e\\u001f\x7f"'
    )


def test_html_and_line_separators_are_escaped_and_other_characters_are_not() -> None:
    assert dump("<a>&\u2028\u2029 é 中 😀 /'", sort_keys=False) == (
        '"\\u003ca\\u003e\\u0026\\u2028\\u2029 é 中 😀 /\'"'
    )


def test_a_backslash_before_b_is_no_backspace() -> None:
    assert dump("\\b \\\\f \b\\", sort_keys=False) == '"\\\\b \\\\\\\\f \\u0008\\\\"'


@pytest.mark.parametrize(
    "text", ["", "0", "-408708", "0x0dFa", "a b", '"1"', "é", "²", "<", "\b", "\\b", "\ud800"]
)
def test_a_text_is_quoted_as_it_is_written_in_json(text: str) -> None:
    assert f"[{quoted(text)}]" == dump([text], sort_keys=False)


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "\udc80\udcff"])
def test_a_lone_surrogate_becomes_the_replacement_character(text: str) -> None:
    encoded = sorted_compact({"name": text})
    assert "\ufffd" in json.loads(encoded)["name"]


def test_keys_are_sorted_at_every_level_without_white_space() -> None:
    assert sorted_compact({"b": [{"d": 1, "c": 2}], "a": ""}) == b'{"a":"","b":[{"c":2,"d":1}]}'


def test_declared_order_is_kept_when_asked_for() -> None:
    assert dump({"b": 1, "a": 2}, sort_keys=False) == '{"b":1,"a":2}'


def test_numbers_that_json_does_not_have_are_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        dump(float("nan"), sort_keys=False)
