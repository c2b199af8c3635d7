"""EdDSA as a provider of v0.2 verifies it for users' browser keys: on the twisted Edwards curve
over BN254's scalar field, with MiMC as the hash.

Only what is public is handled here, so nothing needs constant time.
"""

from __future__ import annotations

from functools import cache

from greenray.chain.crypto import keccak256
from greenray.protocol.errors import SignatureError

PUBLIC_KEY_SIZE_BYTES = 32
SIGNATURE_SIZE_BYTES = 64

FIELD = 21888242871839275222246405745257275088548364400416034343698204186575808495617
ORDER = 2736030358979909402780800718157159386076813972158567259200215660948447373041
"""Of the group that ``BASE`` generates."""

_D = 12181644023421730124874158521699555681764249180949974110617291017600649128846
_COFACTOR = 8
_ROUNDS = 91
_BLOCK_BYTES = 32
_NEGATIVE = 0x80

Point = tuple[int, int]
"""Affine, on -x² + y² = 1 + d x² y²."""

_Projective = tuple[int, int, int]

BASE: Point = (
    9671717474070082183213120605117400219616337014328744928644933853176787189663,
    16950150798460657717958625567821834550301663161624707787222815936182638968203,
)
_NEUTRAL: _Projective = (0, 1, 1)


def verify(public_key: Point, message: bytes, signature: bytes) -> None:
    """``public_key``: see ``decode_point``. Takes some milliseconds, and a tenth of one for each 32
    bytes of ``message``.

    Raises SignatureError.
    """
    if len(signature) != SIGNATURE_SIZE_BYTES:
        raise SignatureError(f"an EdDSA signature has 64 bytes, not {len(signature)}")
    commitment = decode_point(signature[:32])
    scalar = int.from_bytes(signature[32:])
    hashed = challenge(commitment, public_key, message)
    # cofactor (s B - h A - R) is neutral
    negative_key = (-public_key[0] % FIELD, public_key[1])
    negative_commitment = (-commitment[0] % FIELD, commitment[1], 1)
    rest = _add(_two_products(scalar, BASE, hashed, negative_key), negative_commitment)
    for _ in range(_COFACTOR.bit_length() - 1):
        rest = _add(rest, rest)
    x, y, z = rest
    if x or (y - z) % FIELD:
        raise SignatureError("the EdDSA signature is not of this key and text")


def decode_point(data: bytes) -> Point:
    """A public key: y in little endian, and the sign of x in the last bit (RFC 8032 §3.1).

    Raises SignatureError: not 32 bytes, or no point of the curve.
    """
    if len(data) != PUBLIC_KEY_SIZE_BYTES:
        raise SignatureError(f"an EdDSA public key has 32 bytes, not {len(data)}")
    y = int.from_bytes(data[:-1] + bytes([data[-1] & ~_NEGATIVE]), "little") % FIELD
    square = y * y % FIELD
    x = _root((1 - square) * pow(-1 - _D * square, -1, FIELD) % FIELD)
    if x is None:
        raise SignatureError("an EdDSA public key is no point of the curve")
    return (x if _is_negative(x) == bool(data[-1] & _NEGATIVE) else -x % FIELD), y


def encode_point(point: Point) -> bytes:
    """The inverse of ``decode_point``."""
    x, y = point
    data = bytearray(y.to_bytes(32, "little"))
    if _is_negative(x):
        data[-1] |= _NEGATIVE
    return bytes(data)


def multiply(scalar: int, point: Point) -> Point:
    x, y, z = _two_products(scalar, point, 0, point)
    inverse = pow(z, -1, FIELD)
    return x * inverse % FIELD, y * inverse % FIELD


def challenge(commitment: Point, public_key: Point, message: bytes) -> int:
    """What the signature's scalar answers."""
    coordinates = (*commitment, *public_key)
    return _mimc(b"".join(value.to_bytes(32) for value in coordinates) + message)


def _mimc(data: bytes) -> int:
    """MiMC in Miyaguchi-Preneel mode; the last block is padded with zeros in front."""
    whole = len(data) - len(data) % _BLOCK_BYTES
    blocks = [data[at : at + _BLOCK_BYTES] for at in range(0, whole, _BLOCK_BYTES)]
    if data[whole:]:
        blocks.append(data[whole:])
    constants = _round_constants()
    state = 0
    for block in blocks:
        value = mixed = int.from_bytes(block) % FIELD
        for constant in constants:
            term = mixed + state + constant
            squared = term * term % FIELD
            mixed = squared * squared % FIELD * term % FIELD
        state = (mixed + state + state + value) % FIELD
    return state


@cache
def _round_constants() -> tuple[int, ...]:
    digest = keccak256(b"seed")
    constants = []
    for _ in range(_ROUNDS):
        digest = keccak256(digest)
        constants.append(int.from_bytes(digest) % FIELD)
    return tuple(constants)


def _is_negative(x: int) -> bool:
    return x > (FIELD - 1) // 2


def _two_products(first: int, point: Point, second: int, other: Point) -> _Projective:
    """``first`` times ``point`` and ``second`` times ``other``, bit by bit of both."""
    one, two = (*point, 1), (*other, 1)
    addends: tuple[_Projective | None, ...] = (None, one, two, _add(one, two))
    total = _NEUTRAL
    for bit in reversed(range(max(first.bit_length(), second.bit_length()))):
        total = _add(total, total)
        addend = addends[(first >> bit & 1) + 2 * (second >> bit & 1)]
        if addend is not None:
            total = _add(total, addend)
    return total


def _add(one: _Projective, two: _Projective) -> _Projective:
    """Complete, so that it doubles as well: d is no square."""
    x1, y1, z1 = one
    x2, y2, z2 = two
    z = z1 * z2 % FIELD
    squared = z * z % FIELD
    x = x1 * x2 % FIELD
    y = y1 * y2 % FIELD
    product = _D * x % FIELD * y % FIELD
    less, more = squared - product, squared + product
    return (
        z * less % FIELD * ((x1 + y1) * (x2 + y2) - x - y) % FIELD,
        z * more % FIELD * (y + x) % FIELD,
        less * more % FIELD,
    )


def _root(square: int) -> int | None:
    """A square root in the field (Tonelli and Shanks); None when there is none."""
    if square == 0:
        return 0
    if pow(square, (FIELD - 1) // 2, FIELD) != 1:
        return None
    odd, twos = FIELD - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    power = pow(_NO_SQUARE, odd, FIELD)
    root, rest = pow(square, (odd + 1) // 2, FIELD), pow(square, odd, FIELD)
    while rest != 1:
        order, value = 0, rest
        while value != 1:
            order, value = order + 1, value * value % FIELD
        step = pow(power, 1 << (twos - order - 1), FIELD)
        twos, power = order, step * step % FIELD
        root, rest = root * step % FIELD, rest * power % FIELD
    return root


_NO_SQUARE = 5
"""It generates the field's units, as every non-square would do here."""
