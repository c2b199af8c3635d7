"""What events of a v0.2 block say of objects (protocol 04 §8): names and attributes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from greenray.chain.dialects.v0_2.state import uint_of
from greenray.protocol.collection import BlockNews, Cause, Removal
from greenray.protocol.errors import InvalidInput

_CREATED = "greenfield.storage.EventCreateObject"
_SEALED = "greenfield.storage.EventSealObject"
_REMOVED = MappingProxyType(
    {
        "greenfield.storage.EventDeleteObject": Cause.DELETED,
        "greenfield.storage.EventCancelCreateObject": Cause.CANCELLED,
        "greenfield.storage.EventRejectSealObject": Cause.REJECTED,
    }
)


def block_news(height: int, events: Iterable[tuple[str, Mapping[str, str]]]) -> BlockNews:
    """See ``greenray.chain.dialect.Dialect.block_news``."""
    created, removals, sealed = [0], [], []
    for name, attributes in events:
        if name == _CREATED:
            created.append(_object_id(attributes))
        elif name == _SEALED:
            sealed.append(_object_id(attributes))
        elif name in _REMOVED:
            removals.append(Removal(_object_id(attributes), _REMOVED[name]))
    return BlockNews(height, max(created), tuple(removals), tuple(sealed))


def _object_id(attributes: Mapping[str, str]) -> int:
    """Attributes of typed events are JSON: the id is a text in quotes."""
    try:
        text = json.loads(attributes["object_id"])
    except (KeyError, ValueError) as error:
        raise InvalidInput("an event has no object_id") from error
    if not isinstance(text, str):
        raise InvalidInput("an event's object_id is no text")
    return uint_of(text)
