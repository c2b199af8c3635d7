"""What became of a transaction, and the compact text that is kept of it.

A result names every event twice, in its log and in its events, and few are ever asked for: the log
of a transaction that succeeded is made when somebody reads it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from greenray.chain.local import blocks
from greenray.chain.local.ledger.events import Event, message_log, to_json


@dataclass(frozen=True, slots=True)
class TxResult:
    """What CheckTx or DeliverTx answers; ``data`` None when the message did not run.

    ``message_events``: how many of ``events``, from the end, are the message's own; None when
    ``refusal`` (or ``[]``) is the whole log.
    """

    code: int = 0
    codespace: str = ""
    refusal: str = ""
    data: bytes | None = None
    gas_wanted: int = 0
    gas_used: int = 0
    events: tuple[Event, ...] = ()
    priority: int = 0
    message_events: int | None = None

    @property
    def log(self) -> str:
        if self.message_events is None:
            return self.refusal
        return message_log(self.events[len(self.events) - self.message_events :])

    def to_json(self) -> dict[str, Any]:
        """As ``tx_result`` of the RPC."""
        return {
            "code": self.code,
            "data": None if self.data is None else blocks.base64_text(self.data),
            "log": self.log,
            "info": "",
            "gas_wanted": str(self.gas_wanted),
            "gas_used": str(self.gas_used),
            "events": to_json(self.events),
            "codespace": self.codespace,
        }

    def packed(self) -> str:
        """The text that ``unpacked`` reads; without the priority, which only a queue needs."""
        return json.dumps(
            [
                self.code,
                self.codespace,
                self.refusal,
                None if self.data is None else self.data.hex(),
                self.gas_wanted,
                self.gas_used,
                self.message_events,
                [[one.type, one.attributes] for one in self.events],
            ],
            ensure_ascii=False,
        )

    @classmethod
    def unpacked(cls, text: str) -> TxResult:
        code, codespace, refusal, data, gas_wanted, gas_used, message_events, rows = json.loads(
            text
        )
        return cls(
            code=code,
            codespace=codespace,
            refusal=refusal,
            data=None if data is None else bytes.fromhex(data),
            gas_wanted=gas_wanted,
            gas_used=gas_used,
            events=tuple(
                Event(kind, tuple((key, value) for key, value in attributes))
                for kind, attributes in rows
            ),
            message_events=message_events,
        )
