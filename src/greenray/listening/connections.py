"""The connections of a process's listeners: how many, from whom, and which make room for others:
those that ask for nothing, then those that stand still within something, of who has most."""

from __future__ import annotations

import asyncio
import logging
import resource
import time
from collections import Counter
from collections.abc import Callable

from greenray.listening.limits import ConnectionBounds, ListenLimits, source_of

_TOLD_EVERY_S = 60.0
_STANDS_STILL_S = 1.0
"""Who is waited for so long may have to make room."""

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

    def waited_for(self) -> None:
        """It has begun a head and not ended it, or does not take its answer."""
        if self._connections.is_open(self):
            self._connections.waited_for.setdefault(self, self._connections.clock())

    def goes_on(self) -> None:
        self._connections.waited_for.pop(self, None)

    def rests(self) -> None:
        """What it asked for is answered; it may ask again."""
        if self._connections.is_open(self):
            self._connections.silent[self] = None

    def closed(self) -> None:
        self.spoke()
        self.goes_on()
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
        self.waited_for: dict[Connection, float] = {}
        """Those that do not go on with what they have begun, and since when, the oldest first."""
        self.on_room: list[Callable[[], None]] = []
        """Called when a connection was closed."""
        self.clock = clock
        self._open: set[Connection] = set()
        self._leaving: set[Connection] = set()
        self._by_source: Counter[str] = Counter()
        self._times = 0
        """How often there was something to tell since it was told last."""
        self._told_at = float("-inf")

    @property
    def open_connections(self) -> int:
        """Without those that were let go and are not closed yet."""
        return len(self._open) - len(self._leaving)

    def is_open(self, connection: Connection) -> bool:
        return connection in self._open and connection not in self._leaving

    def make_room(self) -> bool:
        """Whether one more can be accepted; if all are taken, one is let go."""
        if len(self._open) < self.bounds.taken:
            return True
        self._let_go(1, for_one_of=1)
        return False

    def _let_go(self, count: int, for_one_of: int) -> None:
        """The oldest silent ones; then the oldest that stand still, of the source that has the
        most each time, if that has more than ``for_one_of``, as many as who comes."""
        self.tell("all connections are taken")
        for _ in range(count):
            one = next(iter(self.silent), None) or self._one_that_stands_still(for_one_of)
            if one is None or one.transport is None:
                return
            self._leaving.add(one)
            one.transport.abort()
            one.spoke()
            one.goes_on()

    def _one_that_stands_still(self, more_than: int) -> Connection | None:
        until = self.clock() - _STANDS_STILL_S
        left = Counter(connection.source for connection in self._leaving)
        found: Connection | None = None
        for connection, since in self.waited_for.items():
            if since > until:
                break
            has = self._by_source[connection.source] - left[connection.source]
            if has > more_than:
                found, more_than = connection, has
        return found

    def admit(self, address: str) -> Connection | None:
        """A connection from this IP address; None when it has too many. If more are open now than
        are served, one of the others is let go."""
        source = source_of(address)
        if self._by_source[source] >= self.bounds.of_one_source:
            self.tell(f"{source} has {self._by_source[source]} connections")
            return None
        self._by_source[source] += 1
        connection = Connection(self, source)
        self._open.add(connection)
        too_many = self.open_connections - self.bounds.served
        if too_many > 0:
            self._let_go(too_many, self._by_source[source])
        return connection

    def closed(self, connection: Connection) -> None:
        if connection not in self._open:
            return
        self._open.remove(connection)
        self._leaving.discard(connection)
        self._by_source[connection.source] -= 1
        if not self._by_source[connection.source]:
            del self._by_source[connection.source]
        for go_on in self.on_room:
            go_on()

    def tell(self, why: str) -> None:
        """Say in the log, once a minute, why connections were refused or have to wait."""
        self._times += 1
        now = self.clock()
        if now - self._told_at >= _TOLD_EVERY_S:
            self._told_at = now
            log.warning(
                "connections are refused or wait, %d times since this was said last: %s",
                self._times,
                why,
            )
            self._times = 0
