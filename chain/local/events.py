"""Events of transactions, and their texts in logs (protocol 04 §8, §12)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from protocol import go_json


@dataclass(frozen=True, slots=True)
class Event:
    type: str
    attributes: tuple[tuple[str, str], ...]


def event(type_name: str, **attributes: str) -> Event:
    """An untyped event; attributes keep their order."""
    return Event(type_name, tuple(attributes.items()))


def typed_event(full_name: str, fields: Mapping[str, Any]) -> Event:
    """A typed event: fields sorted by name, each value the JSON text of the field.

    64-bit integers must already be decimal text, enums their names, bytes base64 text.
    """
    attributes = ((name, go_json.dump(fields[name], sort_keys=False)) for name in sorted(fields))
    return Event(full_name, tuple(attributes))


def to_json(events: Iterable[Event]) -> list[dict[str, Any]]:
    """Events as a node prints them in results."""
    return [
        {
            "type": one.type,
            "attributes": [
                {"key": key, "value": value, "index": True} for key, value in one.attributes
            ],
        }
        for one in events
    ]


def from_json(rows: Iterable[Mapping[str, Any]]) -> tuple[Event, ...]:
    """The inverse of ``to_json``."""
    return tuple(
        Event(row["type"], tuple((a["key"], a["value"]) for a in row["attributes"])) for row in rows
    )


def message_log(events: Iterable[Event]) -> str:
    """The ``log`` of a successful transaction with one message."""
    rows = [
        {
            "type": one.type,
            "attributes": [{"key": key, "value": value} for key, value in one.attributes],
        }
        for one in events
    ]
    return go_json.dump([{"msg_index": 0, "events": rows}], sort_keys=False)


def parse_typed(value: str) -> Any:
    """The value of a typed event's attribute."""
    return json.loads(value)
