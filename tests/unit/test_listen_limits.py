"""How many connections are taken, by what is set and by what the process may open."""

from __future__ import annotations

import pytest

from greenray.listening.limits import ConnectionBounds, ListenLimits, source_of


@pytest.mark.parametrize(
    ("most", "of_one", "open_files", "expected"),
    [
        (4096, 1024, 20_000, ConnectionBounds(5120, 4096, 1024)),
        (4096, 1024, 1 << 30, ConnectionBounds(5120, 4096, 1024)),
        (4096, 1024, 1024, ConnectionBounds(512, 409, 448)),
        (2, 1024, 1024, ConnectionBounds(18, 2, 15)),
        (4096, 1, 20_000, ConnectionBounds(5120, 4096, 1)),
        (1, 1, 4, ConnectionBounds(8, 1, 1)),
    ],
)
def test_connections_leave_descriptors_for_files(
    most: int, of_one: int, open_files: int, expected: ConnectionBounds
) -> None:
    limits = ListenLimits(most, of_one, keepalive_timeout_s=1.0)
    assert ConnectionBounds.of(limits, open_files) == expected


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_an_ipv6_address_counts_for_its_network(address: str, source: str) -> None:
    assert source_of(address) == source
