"""Signatures over secp256k1 by libsecp256k1, through the binding that this Python has a wheel of.

Both bindings give the same bytes and refuse the same input, with ValueError
(tests/property/test_secp256k1.py). Signatures are 65 bytes ``r(32) || s(32) || v(1)``.
"""

try:
    from greenray.chain.secp256k1.by_coincurve import public_key_of, recover, sign, uncompressed
except ImportError:  # no wheel for Python 3.14 yet
    from greenray.chain.secp256k1.by_btclib import public_key_of, recover, sign, uncompressed

__all__ = ["public_key_of", "recover", "sign", "uncompressed"]
