"""Redundancy with NumPy alone: the last resort, and the reference that needs no native library.

A product ``c * d`` is the sum of ``d * x^b`` over the set bits b of c. Horner's rule over the bits
needs, per output, one multiplication by x for each bit of its largest coefficient, however many
inputs there are; everything else is XOR. Blocks stay in the cache, and the GIL is free meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from greenray.coding.buffers import Shard
from greenray.coding.codec import Codec
from greenray.coding.matrix import POLYNOMIAL, combination

_BLOCK_BYTES = 1 << 17
_REDUCTION = np.uint8(POLYNOMIAL & 0xFF)


class NumpyCodec(Codec):
    name: ClassVar[str] = "numpy"

    def _combine(
        self,
        sources: tuple[int, ...],
        inputs: Sequence[Shard],
        wanted: tuple[int, ...],
        outputs: Sequence[Shard],
    ) -> None:
        rows = combination(sources, wanted)
        size_bytes = inputs[0].size
        carries = np.empty(min(size_bytes, _BLOCK_BYTES), np.bool_)
        for start in range(0, size_bytes, _BLOCK_BYTES):
            block = slice(start, start + _BLOCK_BYTES)
            blocks = [shard[block] for shard in inputs]
            for row, output in zip(rows, outputs, strict=True):
                _sum_of_products(row, blocks, output[block], carries[: blocks[0].size])


def _sum_of_products(
    row: bytes, inputs: Sequence[Shard], output: Shard, carries: NDArray[np.bool_]
) -> None:
    output.fill(0)
    for bit in reversed(range(max(row).bit_length())):
        _multiply_by_x(output, carries)
        for coefficient, shard in zip(row, inputs, strict=True):
            if coefficient >> bit & 1:
                np.bitwise_xor(output, shard, out=output)


def _multiply_by_x(values: Shard, carries: NDArray[np.bool_]) -> None:
    """In place. ``carries`` is scratch of the same size."""
    np.less(values.view(np.int8), 0, out=carries)
    np.add(values, values, out=values)
    reductions = carries.view(np.uint8)
    np.multiply(reductions, _REDUCTION, out=reductions)
    np.bitwise_xor(values, reductions, out=values)
