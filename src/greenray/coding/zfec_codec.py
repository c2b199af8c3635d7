"""zfec, made to give Greenfield's bytes (design §4).

zfec with 256 shares evaluates its polynomial at the points 0, 2^0, 2^1, ..., 2^254; the reference
at 0, 1, 2, ...: the same points under other numbers. So the shares of our points are decoded to
zfec's own primary shares, and those are encoded at the points that are wanted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from greenray.coding.buffers import Shard
from greenray.coding.codec import Codec
from greenray.coding.matrix import LOG, MAX_SHARDS
from greenray.protocol.errors import CodecUnavailable

_BLOCK_BYTES = 1 << 16
"""zfec returns new memory of the size of its input; blocks keep that small and in the cache."""


def _share_number(point: int) -> int:
    return 0 if point == 0 else LOG[point] + 1


class ZfecCodec(Codec):
    name: ClassVar[str] = "zfec"

    def __init__(self) -> None:
        """Raises CodecUnavailable when zfec is not installed, as where its licence is minded."""
        try:
            import zfec
        except ImportError as error:
            raise CodecUnavailable(
                f"zfec cannot be loaded ({error})",
                "",
                "Install it (pip install zfec), or choose another codec",
            ) from None
        self._zfec = zfec

    def _combine(
        self,
        sources: tuple[int, ...],
        inputs: Sequence[Shard],
        wanted: tuple[int, ...],
        outputs: Sequence[Shard],
    ) -> None:
        decoder = self._zfec.Decoder(len(sources), MAX_SHARDS)
        encoder = self._zfec.Encoder(len(sources), MAX_SHARDS)
        source_numbers = tuple(_share_number(point) for point in sources)
        wanted_numbers = tuple(_share_number(point) for point in wanted)
        for start in range(0, inputs[0].size, _BLOCK_BYTES):
            block = slice(start, start + _BLOCK_BYTES)
            primaries = decoder.decode(tuple(shard[block] for shard in inputs), source_numbers)
            made = encoder.encode(tuple(primaries), wanted_numbers)
            for output, share in zip(outputs, made, strict=True):
                output[block] = np.frombuffer(share, np.uint8)
