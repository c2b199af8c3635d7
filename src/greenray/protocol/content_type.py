"""The content type of an object as a header: the chain takes any text, HTTP does not."""

from __future__ import annotations

import re

from greenray.protocol.errors import InvalidInput

DEFAULT_CONTENT_TYPE = "application/octet-stream"

# With nosniff a browser shows these as pictures, sound or text, or stores them; none of them runs.
# A PDF's scripts run in a viewer that has an origin of its own. Not here, and so stored: HTML, SVG
# and other XML (they run scripts as the gateway's own page), scripts and style sheets, and whatever
# a browser will learn to run.
_INERT = re.compile(
    r"(audio|video|font|image(?!/svg))/[a-z0-9.+-]+"
    r"|text/(plain|csv)|application/(octet-stream|json|pdf|zip|gzip)"
)


def is_header_value(content_type: str) -> bool:
    """Whether it can stand in a head, where a control character would end or break it."""
    return bool(content_type) and not any(one < " " or one == "\x7f" for one in content_type)


def served_content_type(content_type: str) -> str:
    """Of an object on chain, in a request or an answer; what cannot be said is octets."""
    return content_type if is_header_value(content_type) else DEFAULT_CONTENT_TYPE


def is_inert(content_type: str) -> bool:
    """Whether a browser that opens it runs nothing of it."""
    # Of several types in one value, browsers take the last.
    media_type = "" if "," in content_type else content_type.partition(";")[0]
    return _INERT.fullmatch(media_type.strip().lower()) is not None


def check_content_type(content_type: str) -> None:
    """Of an object that is to be created; an empty one is the default. Raises InvalidInput."""
    if content_type and not is_header_value(content_type):
        raise InvalidInput(
            "has a control character, with which no gateway could serve the object",
            f"content type {content_type[:80]!r}",
            "Give one like text/plain.",
        )
