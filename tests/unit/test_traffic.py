"""What gives way to uploads: when they flow, and how much is left beside them."""

from __future__ import annotations

import pytest

from greenray.actors.scrubber.settings import ScrubberSettings
from greenray.actors.traffic import Traffic


def test_traffic_flows_for_a_moment_after_something_came() -> None:
    now = 0.5
    traffic = Traffic(lambda: now)
    assert not traffic.is_flowing
    traffic.flows()
    now = 2.0
    assert traffic.is_flowing
    now = 2.5
    assert not traffic.is_flowing


@pytest.mark.parametrize(
    ("bandwidth_bytes_s", "beside_uploads", "left_bytes_s"),
    [(1000, False, 1000), (1000, True, 250), (1, True, 1), (0, True, 0), (0, False, 0)],
)
def test_the_background_scrub_leaves_most_of_its_rate_to_uploads(
    bandwidth_bytes_s: int, beside_uploads: bool, left_bytes_s: int
) -> None:
    settings = ScrubberSettings(bandwidth_bytes_s=bandwidth_bytes_s, share_beside_uploads=0.25)
    assert settings.background_bytes_s(beside_uploads=beside_uploads) == left_bytes_s
