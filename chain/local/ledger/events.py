"""Events of transactions, and their texts in logs (protocol 04 §8, §12)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from greenray.protocol import go_json


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
    return Event(full_name, tuple((name, _json_text(fields[name])) for name in sorted(fields)))


def _json_text(value: Any) -> str:
    if isinstance(value, str):
        return go_json.quoted(value)
    # Most streams have no flows.
    return go_json.dump(value, sort_keys=False) if value != [] else "[]"


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


def message_log(events: Iterable[Event]) -> str:
    """The ``log`` of a successful transaction with one message."""
    texts = []
    for one in events:
        attributes = ",".join(
            f'{{"key":{go_json.quoted(key)},"value":{go_json.quoted(value)}}}'
            for key, value in one.attributes
        )
        texts.append(f'{{"type":{go_json.quoted(one.type)},"attributes":[{attributes}]}}')
    return f'[{{"msg_index":0,"events":[{",".join(texts)}]}}]'
