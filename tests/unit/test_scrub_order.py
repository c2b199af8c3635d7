"""What a scrub is asked for, as it is written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import typer

from greenray.cli.scrub import parse_since
from greenray.cluster.scrub import scrub_order
from greenray.protocol.errors import InvalidInput, InvalidName
from greenray.protocol.scrub import ScrubOrder


def test_a_name_is_a_bucket_or_an_object() -> None:
    assert scrub_order(None, False, None, 0) == ScrubOrder()
    assert scrub_order("album", True, None, 5) == ScrubOrder(
        repair=True, bucket_name="album", bandwidth_bytes_s=5
    )
    order = scrub_order("album/2026/photo.jpg", False, None, 0)
    assert (order.bucket_name, order.object_name) == ("album", "2026/photo.jpg")


@pytest.mark.parametrize("name", ["", "/", "A", "/photo", "album/", "al/photo"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidName):
        scrub_order(name, False, None, 0)


def test_a_time_is_told_in_unix_seconds() -> None:
    since = datetime(2026, 11, 29, 13, 0, tzinfo=UTC)
    assert scrub_order(None, False, since, 0).created_since == since.timestamp()
    assert scrub_order(None, False, datetime(1900, 1, 1, tzinfo=UTC), 0).created_since == 0.0
    with pytest.raises(InvalidInput):
        scrub_order(None, False, datetime.min, 0)
    with pytest.raises(InvalidInput):
        scrub_order(None, False, None, -1)


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("90s", timedelta(seconds=90)),
        ("90m", timedelta(minutes=90)),
        (" 2h ", timedelta(hours=2)),
        ("7d", timedelta(days=7)),
    ],
)
def test_an_age_is_a_time_before_now(text: str, ago: timedelta) -> None:
    before = datetime.now(UTC)
    since = parse_since(text)
    assert before - ago <= since <= datetime.now(UTC) - ago


def test_a_time_may_name_its_zone() -> None:
    assert parse_since("2026-11-29") == datetime(2026, 11, 29)
    assert parse_since("2026-11-29T13:00+00:00") == datetime(2026, 11, 29, 13, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "yesterday", "7", "7w", "-7d", "1.5h", "999999999d"])
def test_what_is_no_time_is_wrong_usage(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        parse_since(text)


def test_a_time_to_come_is_refused() -> None:
    with pytest.raises(InvalidInput, match="still to come"):
        scrub_order(None, False, datetime.now(UTC) + timedelta(minutes=1), 0)
