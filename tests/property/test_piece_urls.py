"""Any place that pieces can be in has a URL that says it."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from greenray.storage.file_location import FileLocation
from greenray.storage.piece_kinds import piece_location
from greenray.storage.s3_location import S3Location

parts = st.text("ab ?#%~:@äü", min_size=1)


@given(st.lists(parts))
def test_any_prefix_has_a_url(prefix: list[str]) -> None:
    location = S3Location("b", "/".join(prefix))
    assert piece_location(location.url) == location


@given(st.lists(parts, min_size=1))
def test_any_directory_has_a_url(path: list[str]) -> None:
    location = FileLocation(Path("/", *path))
    assert piece_location(location.url) == location
