"""Intel ISA-L's erasure kernels through ctypes, with our own coding matrix.

The library comes with the PyEClib wheel (of which nothing is imported) or with Debian's libisal2,
and is loaded from a file that ``library_files`` has checked.
ctypes checks no bounds: ``Codec`` has verified every buffer before ``_combine`` is reached.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import lru_cache
from typing import ClassVar

from greenray.coding.buffers import Shard
from greenray.coding.codec import Codec
from greenray.coding.library_files import bundled_library, system_library
from greenray.coding.matrix import combination
from greenray.protocol.errors import CodecUnavailable

_TABLE_BYTES = 32
_MAX_CALL_BYTES = 1 << 30
"""ec_encode_data takes its length as a C int."""


def _load() -> ctypes.CDLL:
    failures: list[str] = []
    for found in (bundled_library, system_library):
        try:
            library = ctypes.CDLL(str(found()))
            _declare(library)
        except (OSError, AttributeError) as error:
            failures.append(str(error))
        else:
            return library
    raise CodecUnavailable(
        "ISA-L is not installed",
        "; ".join(failures),
        "Install the isal extra of greenray, or Debian's libisal2",
    )


def _declare(library: ctypes.CDLL) -> None:
    """Name the C signatures. Raises AttributeError when the library lacks the functions."""
    pointer, integer = ctypes.c_void_p, ctypes.c_int
    library.ec_init_tables.argtypes = [integer, integer, pointer, pointer]
    library.ec_init_tables.restype = None
    library.ec_encode_data.argtypes = [integer, integer, integer, pointer, pointer, pointer]
    library.ec_encode_data.restype = None


class IsalCodec(Codec):
    name: ClassVar[str] = "isal"

    def __init__(self) -> None:
        """Raises CodecUnavailable when no libisal can be loaded."""
        self._library = _load()
        self._tables = lru_cache(maxsize=256)(self._make_tables)

    def _make_tables(
        self, sources: tuple[int, ...], wanted: tuple[int, ...]
    ) -> ctypes.Array[ctypes.c_char]:
        coefficients = b"".join(combination(sources, wanted))
        tables = ctypes.create_string_buffer(_TABLE_BYTES * len(sources) * len(wanted))
        self._library.ec_init_tables(len(sources), len(wanted), coefficients, tables)
        return tables

    def _combine(
        self,
        sources: tuple[int, ...],
        inputs: Sequence[Shard],
        wanted: tuple[int, ...],
        outputs: Sequence[Shard],
    ) -> None:
        tables = self._tables(sources, wanted)
        size_bytes = inputs[0].size
        for start in range(0, size_bytes, _MAX_CALL_BYTES):
            self._library.ec_encode_data(
                min(_MAX_CALL_BYTES, size_bytes - start),
                len(inputs),
                len(outputs),
                tables,
                _addresses(inputs, start),
                _addresses(outputs, start),
            )


def _addresses(shards: Sequence[Shard], start: int) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * len(shards))(*(shard.ctypes.data + start for shard in shards))
