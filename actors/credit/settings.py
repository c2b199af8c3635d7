"""What whoever lends memory to peers is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt, Le

from greenray.actors.settings import PositiveSeconds

Share = Annotated[float, Gt(0), Le(1)]


@dataclass(frozen=True, slots=True)
class LendingSettings:
    account_share: Share = 0.5
    """Of the buffers of payloads, downloads and replicate groups each: what one account may have
    before others that wait. What nobody else waits for it may have, too. Of the uploads and of the
    downloads at a time it has no more while only an eighth of them is left."""
    address_share: Share = 0.5
    """The same for one address of the network; 1 behind a proxy, where all clients have one."""
    memory_wait_s: PositiveSeconds = 30.0
    """How long a request may wait for memory before it is answered with HTTP 503; no more than the
    first 4 KiB of its payload are read by then."""
