"""What a browser does with a link to an object, and by which name it stores it."""

from __future__ import annotations

import pytest

from greenray.protocol.content_disposition import shown_or_stored, stored_as


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("photo.jpg", 'attachment; filename="photo.jpg"'),
        ("2023/may/photo.jpg", 'attachment; filename="photo.jpg"'),
        ("folder/", 'attachment; filename="folder"'),
        ('a"b\\c', "attachment; filename=\"a_b_c\"; filename*=UTF-8''a%22b%5Cc"),
        ("a\r\nb", "attachment; filename=\"a__b\"; filename*=UTF-8''a%0D%0Ab"),
        ("中", "attachment; filename=\"_\"; filename*=UTF-8''%E4%B8%AD"),
        ("/", 'attachment; filename="object"'),
    ],
)
def test_an_object_is_stored_by_the_last_part_of_its_name_which_ends_no_header(
    name: str, expected: str
) -> None:
    assert stored_as(name) == expected


def test_what_a_browser_would_run_is_stored_though_it_was_to_be_shown() -> None:
    assert shown_or_stored("image/png", "a.png") == "inline"
    assert shown_or_stored("text/html", "a.html") == 'attachment; filename="a.html"'
    assert shown_or_stored("image/svg+xml", "a.svg") == 'attachment; filename="a.svg"'
