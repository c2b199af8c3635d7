from __future__ import annotations

import pytest

from greenray.protocol.errors import InvalidName
from greenray.protocol.names import check_bucket_name, check_object_name


@pytest.mark.parametrize("name", ["abc", "a-b.c", "0" * 63, "1.2.3", "1.2.3.4.5", "a.1.2.3.4"])
def test_bucket_name_is_accepted(name: str) -> None:
    check_bucket_name(name)


@pytest.mark.parametrize(
    "name",
    ["   ", "abc\n", "a_b", "éé", "é" * 32, "1.2.3.4", "999.999.999.999", "a.-b", "ab\ud800"],
)
def test_bucket_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidName, match="Bucket name"):
        check_bucket_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "/",
        "/a",
        "a/",
        "...",
        "a/.../b",
        "a/..b",
        "é" * 512,
        "\x1c",
        "a\x1c/..\x1c",
        "\x00",
        "\\.\\",
    ],
)
def test_object_name_is_accepted(name: str) -> None:
    check_object_name(name)


@pytest.mark.parametrize(
    "name",
    ["", " \t\u3000", "é" * 513, "a//b", "//", ".", "a/..", " ../a", "a/\u2003.\xa0/b", "\ud800"],
)
def test_object_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidName, match="Object name"):
        check_object_name(name)


def test_a_long_name_is_shortened_in_the_message() -> None:
    with pytest.raises(InvalidName) as refused:
        check_object_name("x" * 5000)
    assert len(str(refused.value)) < 300
