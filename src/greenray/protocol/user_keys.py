"""Browser keys: an account signs once that a key of a page may ask in its name (protocol 06 §2).

The account's wallet signs a text for people, which names the page's domain, the key, until when it
counts, and at which providers under which nonce. After that the page signs short texts with its
key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from greenray.protocol.errors import SignatureError

PERSONAL_SIGN = "PersonalSign ECDSA-secp256k1"
OFF_CHAIN_AUTH = "OffChainAuth EDDSA"

MAX_KEY_AGE_S = 7 * 24 * 3600
MAX_TEXT_AGE_S = 300
MAX_TEXT_BYTES = 1024
"""Of what a browser key signs; hashing it takes a thousand times what SHA-256 does."""

MAX_DOMAIN_BYTES = 255
MAX_DOMAINS = 64
"""Of an account, at one provider, within ``MAX_KEY_AGE_S``."""

_GREETING = " wants you to sign in with your BNB Greenfield account:"
_KEY = "Register your identity public key "
_BETWEEN = ("URI: ", "Version: ", "Chain ID: ", "Issued At: ")
_EXPIRY = "Expiration Time: "
_PROVIDER = re.compile(r"- SP (\S+) \(name:.*\S\) with nonce: ([0-9]+)")


@dataclass(frozen=True, slots=True)
class UserKey:
    """The key of one account and domain at one provider."""

    sp_address: str
    account: str
    """EIP-55."""
    domain: str
    public_key: str
    """Hexadecimal, as it was registered."""
    nonce: int
    """The first is 1; each registration takes the next."""
    expires_at: float
    """Unix seconds."""


@dataclass(frozen=True, slots=True)
class SignedText:
    """What stands in an Authorization header of either scheme."""

    text: str
    signature: str
    """Hexadecimal."""


@dataclass(frozen=True, slots=True)
class Registration:
    """What an account has signed, as it stands there."""

    domain: str
    public_key: str
    expires: str
    nonces: Mapping[str, str]
    """By operator address."""


def parse_signed_text(header: str, scheme: str) -> SignedText:
    """Of an Authorization header; a line break stands as ``\\\\n`` in it.

    Raises SignatureError: another scheme, or not exactly the two items.
    """
    prefix = f"{scheme},"
    if not header.startswith(prefix):
        raise SignatureError("the Authorization scheme is another one", "", f"Use {scheme}.")
    items = [item.split("=") for item in header[len(prefix) :].replace("\\n", "\n").split(",")]
    if len(items) != 2 or any(len(item) != 2 for item in items):
        raise SignatureError(
            "the Authorization header is malformed",
            "",
            "Give SignedMsg=TEXT,Signature=HEX; the text has no comma and no equals sign.",
        )
    values = dict(items)
    if values.keys() != {"SignedMsg", "Signature"}:
        raise SignatureError("the Authorization header is malformed")
    return SignedText(values["SignedMsg"], values["Signature"])


def parse_registration(text: str) -> Registration | None:
    """None for a text that is not made like those."""
    lines = [line for line in text.split("\n") if line]
    head = (_GREETING, "", _KEY, *_BETWEEN, _EXPIRY, "Resources:")
    if len(lines) <= len(head) or not lines[0].endswith(_GREETING):
        return None
    if not all(line.startswith(start) for line, start in zip(lines[1:], head[1:], strict=False)):
        return None
    providers = [match for line in lines[len(head) :] if (match := _PROVIDER.fullmatch(line))]
    return Registration(
        lines[0].removesuffix(_GREETING),
        lines[2].removeprefix(_KEY),
        lines[7].removeprefix(_EXPIRY),
        {match[1]: match[2] for match in providers},
    )


def check_signed_time(text: str, now: float) -> None:
    """A browser key's text ends with ``_`` and unix milliseconds, until when it counts.

    Raises SignatureError: no time, past, or too far ahead.
    """
    if len(text.encode(errors="surrogateescape")) > MAX_TEXT_BYTES:
        raise SignatureError(f"the signed text has more than {MAX_TEXT_BYTES} bytes")
    _, underscore, milliseconds = text.rpartition("_")
    if not underscore or not re.fullmatch("[0-9]{1,18}", milliseconds):
        raise SignatureError(
            "the signed text has no time", "", "End it with _ and unix milliseconds."
        )
    rest_s = int(milliseconds) / 1000 - now
    if not 0 <= rest_s <= MAX_TEXT_AGE_S:
        raise SignatureError(
            f"the signed text counts until {rest_s:.0f} s from now",
            "",
            f"Sign one that ends within {MAX_TEXT_AGE_S} s; is the clock right?",
        )
