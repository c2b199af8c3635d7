"""One interface over the redundancy codecs, and the choice between them (protocol 01 §3).

All codecs give the bytes of klauspost/reedsolomon for every k > 0, m >= 0 with k + m <= 256.
Shards are one-dimensional uint8 arrays of equal size. Bytes at different offsets never mix, so a
*column* of several shards is coded like one longer shard.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import ClassVar

import numpy as np

from greenray.coding.buffers import Shard
from greenray.coding.matrix import check_shape
from greenray.protocol.errors import (
    CodecUnavailable,
    CodingError,
    InvalidInput,
    InvalidSetting,
    SelfTestFailed,
    ShardSizeMismatch,
    TooFewShards,
)

_log = logging.getLogger(__name__)


class Codec(ABC):
    """Reed-Solomon over GF(2^8). Stateless for the caller; safe to use from many threads at once.

    A subclass supplies ``_combine``; every check of shapes and sizes is done here, before it.
    """

    name: ClassVar[str]

    @abstractmethod
    def _combine(
        self,
        sources: tuple[int, ...],
        inputs: Sequence[Shard],
        wanted: tuple[int, ...],
        outputs: Sequence[Shard],
    ) -> None:
        """Make the shards with indices ``wanted`` from the k shards with indices ``sources``.

        All arrays are contiguous and have one size > 0; ``wanted`` is not empty and shares no index
        with ``sources``; outputs overlap no input.
        """

    def encode(self, data: Sequence[Shard], m: int) -> list[Shard]:
        """The m parity shards of k = len(data) data shards.

        Raises InvalidShape, ShardSizeMismatch.
        """
        check_shape(len(data), m)
        parity = [np.empty(data[0].size, np.uint8) for _ in range(m)]
        self.encode_into(data, parity)
        return parity

    def encode_into(self, data: Sequence[Shard], parity: Sequence[Shard]) -> None:
        """As ``encode``, into existing buffers, which must not overlap the data."""
        k, m = len(data), len(parity)
        check_shape(k, m)
        size_bytes = _common_size([*data, *parity])
        if m and size_bytes:
            self._combine(tuple(range(k)), data, tuple(range(k, k + m)), parity)

    def verify(self, shards: Sequence[Shard], k: int) -> bool:
        """Whether the shards k..n-1 are the parity of the shards 0..k-1. All n must be present.

        Raises InvalidShape, ShardSizeMismatch.
        """
        check_shape(k, len(shards) - k)
        _common_size(shards)
        parity = self.encode(shards[:k], len(shards) - k)
        return all(map(np.array_equal, parity, shards[k:]))

    def reconstruct(
        self, shards: Sequence[Shard | None], k: int, m: int, wanted: Sequence[int]
    ) -> list[Shard]:
        """The shards with the indices ``wanted``, in that order, data or parity.

        ``shards`` has n entries; a missing one is None or empty. Those present are returned as they
        are. The first k present ones are the source, as in the reference. A wrong byte in one of
        them gives wrong bytes silently: compare checksums before.
        Raises InvalidShape, TooFewShards, ShardSizeMismatch, InvalidInput (index outside 0..n-1).
        """
        check_shape(k, m)
        present = present_shards(shards, k, m)
        missing = sorted(set(wanted) - present.keys())
        size_bytes = next(iter(present.values())).size
        rebuilt = {index: np.empty(size_bytes, np.uint8) for index in missing}
        self._rebuild(present, k, m, rebuilt)
        known = present | rebuilt
        return [known[index] for index in wanted]

    def reconstruct_into(
        self, shards: Sequence[Shard | None], k: int, m: int, wanted: Mapping[int, Shard]
    ) -> None:
        """As ``reconstruct``, into existing memory by index, which must not overlap the shards.
        Those that are present are copied there."""
        check_shape(k, m)
        present = present_shards(shards, k, m)
        _common_size([*present.values(), *wanted.values()])
        for index in wanted.keys() & present.keys():
            wanted[index][:] = present[index]
        missing = sorted(wanted.keys() - present.keys())
        self._rebuild(present, k, m, {index: wanted[index] for index in missing})

    def _rebuild(
        self, present: Mapping[int, Shard], k: int, m: int, missing: Mapping[int, Shard]
    ) -> None:
        """``missing``: memory by ascending index. Raises InvalidInput (index outside 0..n-1)."""
        for index in missing:
            if not 0 <= index < k + m:
                raise InvalidInput(f"shard {index} is outside 0..{k + m - 1}")
        sources = tuple(present)[:k]
        if missing:
            inputs = [present[index] for index in sources]
            self._combine(sources, inputs, tuple(missing), list(missing.values()))


def present_shards(shards: Sequence[Shard | None], k: int, m: int) -> dict[int, Shard]:
    """The shards that are there, by index, ascending; at least k of equal size (protocol 01 §3.2).

    Raises TooFewShards (not exactly n entries, or fewer than k present), ShardSizeMismatch.
    """
    if len(shards) != k + m:
        raise TooFewShards(
            f"{len(shards)} shards were given for a redundancy of {k}+{m}",
            "",
            f"Give {k + m} entries, None for a missing one",
        )
    present = {i: shard for i, shard in enumerate(shards) if shard is not None and shard.size}
    if present:
        _common_size(list(present.values()))
    if len(present) < k:
        raise TooFewShards(
            f"{len(present)} of {k + m} shards are present, {k} are needed",
            "",
            "Fetch the missing ones from other providers",
        )
    return present


def _common_size(shards: Sequence[Shard]) -> int:
    """Bytes of each shard. Native kernels check nothing, so everything is refused here."""
    size_bytes = shards[0].size
    for shard in shards:
        if shard.dtype != np.uint8 or shard.ndim != 1 or not shard.flags.c_contiguous:
            raise CodingError("a shard is not a contiguous one-dimensional array of uint8")
        if shard.size != size_bytes:
            sizes = sorted({other.size for other in shards})
            raise ShardSizeMismatch(f"shard sizes do not match: {sizes} bytes")
    return size_bytes


# --- the choice ----------------------------------------------------------------------------------

_CODECS = {
    "isal": ("greenray.coding.isal", "IsalCodec"),
    "zfec": ("greenray.coding.zfec_codec", "ZfecCodec"),
    "numpy": ("greenray.coding.numpy_codec", "NumpyCodec"),
}
"""By falling speed, zfec apart: it is slower than numpy for most shapes, but native and proven."""

CODEC_NAMES = ("auto", *_CODECS)


@cache
def get_codec(name: str = "auto") -> Codec:
    """A codec that has passed its self-test in this process. ``auto`` takes the fastest that does.

    Raises InvalidSetting (no such name), CodecUnavailable, SelfTestFailed.
    """
    if name == "auto":
        return _choose()
    if name not in _CODECS:
        raise InvalidSetting(
            f"there is no redundancy codec {name!r}", "", f"Use one of {', '.join(CODEC_NAMES)}"
        )
    module, class_name = _CODECS[name]
    codec: Codec = getattr(import_module(module), class_name)()
    self_test(codec)
    return codec


def _choose() -> Codec:
    refusals: list[str] = []
    for name in _CODECS:
        try:
            codec = get_codec(name)
        except (CodecUnavailable, SelfTestFailed) as error:
            refusals.append(f"{name}: {error}")
            continue
        reason = f" ({'; '.join(refusals)})" if refusals else ""
        _log.log(
            logging.WARNING if refusals else logging.INFO, "redundancy codec: %s%s", name, reason
        )
        return codec
    raise CodecUnavailable("no redundancy codec works here", "; ".join(refusals), "Reinstall numpy")


def self_test(codec: Codec) -> None:
    """Compare a codec with the reference's digests before it may touch a payload.

    Raises SelfTestFailed.
    """
    from greenray.coding.self_test import first_difference

    difference = first_difference(codec)
    if difference is not None:
        raise SelfTestFailed(
            f"the {codec.name} codec does not give the reference's bytes",
            difference,
            "Choose another codec by its name",
        )
