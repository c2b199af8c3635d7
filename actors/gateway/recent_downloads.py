"""Where the bytes of the last downloads came from, for who asks afterwards: the head of an answer
is sent before anybody knows, and an answer of known length has no trailers."""

from __future__ import annotations

from collections import OrderedDict

from greenray.actors.downloader.segment_reader import Sources
from greenray.protocol.errors import NoTrace
from greenray.protocol.gateway_request import SOURCES_QUERY

_REMEMBERED = 1024
"""Downloads; a client asks for its own at once."""


class RecentDownloads:
    """By the id of the request that they answered."""

    def __init__(self) -> None:
        self._sources: OrderedDict[str, tuple[int, Sources]] = OrderedDict()

    def remember(self, request_id: str, object_id: int, sources: Sources) -> str:
        """Returns the query that asks for ``sources``, which may still grow."""
        self._sources[request_id] = (object_id, sources)
        if len(self._sources) > _REMEMBERED:
            self._sources.popitem(last=False)
        return f"{SOURCES_QUERY}={request_id}"

    def of(self, request_id: str, object_id: int) -> Sources:
        """Raises NoTrace."""
        found_id, sources = self._sources.get(request_id, (None, Sources()))
        if found_id != object_id:
            raise NoTrace("no such download of the object is remembered here", request_id)
        return sources
