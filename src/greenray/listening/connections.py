"""The connections of a process's listeners: how many, from whom, and which ask for nothing."""

from __future__ import annotations

import asyncio
import logging
import resource
import time
from collections import Counter
from collections.abc import Callable

from greenray.listening.limits import ConnectionBounds, ListenLimits, source_of

_TOLD_EVERY_S = 60.0

log = logging.getLogger(__name__)


class Connection:
    """One that was accepted. It counts until ``closed``."""

    def __init__(self, connections: Connections, source: str) -> None:
        self._connections = connections
        self.source = source
        self.transport: asyncio.Transport | None = None
        self._silent_until: asyncio.TimerHandle | None = None

    def opened(self, transport: asyncio.Transport, silent_s: float) -> None:
        """It is aborted unless it ``spoke`` within ``silent_s``."""
        self.transport = transport
        loop = asyncio.get_running_loop()
        self._silent_until = loop.call_later(silent_s, transport.abort)
        self._connections.silent[self] = None

    def spoke(self) -> None:
        if self._silent_until is not None:
            self._silent_until.cancel()
            self._silent_until = None
        self._connections.silent.pop(self, None)

    def rests(self) -> None:
        """What it asked for is answered; it may ask again."""
        if self._connections.is_open(self):
            self._connections.silent[self] = None

    def closed(self) -> None:
        self.spoke()
        self._connections.closed(self)


class Connections:
    """Shared by the listeners whose connections count together.

    The bound lies below the process's limit of open files, as it is when this is made: without a
    descriptor left neither files nor answers could be opened.
    """

    def __init__(self, limits: ListenLimits, clock: Callable[[], float] = time.monotonic) -> None:
        open_files_limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if open_files_limit == resource.RLIM_INFINITY:
            open_files_limit = 1 << 30
        self.bounds = ConnectionBounds.of(limits, open_files_limit)
        self.silent: dict[Connection, None] = {}
        """Those that have not said a word, or none since their last answer, the oldest first."""
        self.on_room: list[Callable[[], None]] = []
        """Called when a connection was closed."""
        self._clock = clock
        self._open: set[Connection] = set()
        self._by_source: Counter[str] = Counter()
        self._times = 0
        """How often there was something to tell since it was told last."""
        self._told_at = float("-inf")

    @property
    def open_connections(self) -> int:
        return len(self._open)

    def is_open(self, connection: Connection) -> bool:
        return connection in self._open

    def make_room(self) -> bool:
        """Whether one more can be accepted; if all are taken, the oldest silent one is let go."""
        if len(self._open) < self.bounds.taken:
            return True
        self._let_one_go()
        return False

    def _let_one_go(self) -> None:
        self.tell("all connections are taken")
        oldest = next(iter(self.silent), None)
        if oldest is not None and oldest.transport is not None:
            oldest.transport.abort()
            oldest.spoke()

    def admit(self, address: str) -> Connection | None:
        """A connection from this IP address; None when it has too many. If more are open now than
        are served, the oldest silent one is let go."""
        source = source_of(address)
        if self._by_source[source] >= self.bounds.of_one_source:
            self.tell(f"{source} has {self._by_source[source]} connections")
            return None
        self._by_source[source] += 1
        connection = Connection(self, source)
        self._open.add(connection)
        if len(self._open) > self.bounds.served:
            self._let_one_go()
        return connection

    def closed(self, connection: Connection) -> None:
        if connection not in self._open:
            return
        self._open.remove(connection)
        self._by_source[connection.source] -= 1
        if not self._by_source[connection.source]:
            del self._by_source[connection.source]
        for go_on in self.on_room:
            go_on()

    def tell(self, why: str) -> None:
        """Say in the log, once a minute, why connections were refused or have to wait."""
        self._times += 1
        now = self._clock()
        if now - self._told_at >= _TOLD_EVERY_S:
            self._told_at = now
            log.warning(
                "connections are refused or wait, %d times since this was said last: %s",
                self._times,
                why,
            )
            self._times = 0
