"""What a storage provider says in the XML of an error (protocol 06 §5)."""

from __future__ import annotations

import re
from html import unescape

_MAX_CHARACTERS = 200


def xml_element(name: str, xml: str) -> str:
    """The text of a flat XML element, cut; empty when it is not there."""
    found = re.search(f"<{name}>([^<]*)</{name}>", xml)
    return unescape(found.group(1)[:_MAX_CHARACTERS]) if found else ""
