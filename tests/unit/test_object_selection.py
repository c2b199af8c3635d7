"""Which objects a name on the command line means."""

from __future__ import annotations

import pytest

from greenray.client.object_selection import Selection
from greenray.protocol.errors import InvalidName


def meant(text: str, names: list[str], *, recursive: bool = False) -> list[str]:
    """Which of these are, by their paths below the selection."""
    selection = Selection.parse(text, recursive=recursive)
    assert selection is not None
    return [
        selection.relative(name)
        for name in names
        if name.startswith(selection.prefix)
        and (selection.pattern is None or selection.pattern.match(name))
    ]


NAMES = ["a", "2026", "2026/a.jpg", "2026/b.png", "2026/may/c.jpg", "2026-old/d.jpg"]


def test_a_plain_name_is_one_object() -> None:
    assert Selection.parse("photos/2026/a.jpg", recursive=False) is None


def test_a_prefix_is_a_folder_and_not_what_only_begins_so() -> None:
    assert meant("photos/2026", NAMES, recursive=True) == ["a.jpg", "b.png", "may/c.jpg"]
    assert meant("gnfd://photos/2026/", NAMES, recursive=True) == ["a.jpg", "b.png", "may/c.jpg"]
    assert meant("photos", NAMES, recursive=True) == NAMES


def test_a_pattern_means_what_it_matches_below_its_folder() -> None:
    assert meant("photos/2026/*.jpg", NAMES) == ["a.jpg", "may/c.jpg"]
    assert meant("photos/2026*/?.jpg", NAMES) == ["2026/a.jpg", "2026/may/c.jpg", "2026-old/d.jpg"]


@pytest.mark.parametrize("text", ["photos", "photos/"])
def test_a_bucket_is_no_object(text: str) -> None:
    with pytest.raises(InvalidName, match="--recursive"):
        Selection.parse(text, recursive=False)


def test_a_bucket_has_a_valid_name() -> None:
    with pytest.raises(InvalidName):
        Selection.parse("UPPER/x", recursive=False)
