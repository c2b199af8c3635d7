"""Refusals of the chain: codespace, code and log exactly as a v0.2.0 node words them (04 §11)."""

from __future__ import annotations

_ROOT_TEXTS: dict[tuple[str, int], str] = {
    ("sdk", 2): "tx parse error",
    ("sdk", 4): "unauthorized",
    ("sdk", 5): "insufficient funds",
    ("sdk", 6): "unknown request",
    ("sdk", 7): "invalid address",
    ("sdk", 8): "invalid pubkey",
    ("sdk", 9): "unknown address",
    ("sdk", 10): "invalid coins",
    ("sdk", 11): "out of gas",
    ("sdk", 12): "memo too large",
    ("sdk", 13): "insufficient fee",
    ("sdk", 14): "maximum number of signatures exceeded",
    ("sdk", 15): "no signatures supplied",
    ("sdk", 18): "invalid request",
    ("sdk", 21): "tx too large",
    ("sdk", 22): "key not found",
    ("sdk", 26): "invalid height",
    ("sdk", 29): "invalid type",
    ("sdk", 30): "tx timeout height",
    ("sdk", 31): "unknown extension options",
    ("sdk", 32): "incorrect account sequence",
    ("sdk", 38): "not found",
    ("sdk", 41): "invalid gas limit",
    ("undefined", 111222): "panic",
    ("greenfiled", 1000): "Invalid bucket name",
    ("greenfiled", 1001): "Invalid object name",
    ("greenfiled", 1003): "Invalid checksum",
    ("greenfiled", 1004): "Invalid content type",
    ("greenfiled", 1005): "Invalid sp signature",
    ("greenfiled", 1006): "Invalid sp address",
    ("greenfiled", 1007): "Invalid principal",
    ("greenfiled", 1009): "Invalid parameter",
    ("storage", 1100): "No such bucket",
    ("storage", 1101): "No such object",
    ("storage", 1104): "Bucket already exists",
    ("storage", 1105): "Object already exists",
    ("storage", 1107): "Access denied",
    ("storage", 1108): "Object already sealed",
    ("storage", 1111): "No such storage provider",
    ("storage", 1112): "Object not created",
    ("storage", 1114): "Object source type mismatch",
    ("storage", 1115): "Object payload size is too large",
    ("storage", 1116): "Invalid approval of sp",
    ("storage", 1117): "charge failed error",
    ("storage", 1118): "Invalid type of visibility",
    ("storage", 1120): "No such Policy",
    ("storage", 1121): "Invalid parameter",
    ("storage", 3104): "the bucket is discontinued",
    # Both print the same; 2 means "not in service".
    ("sp", 1): "StorageProvider does not exist",
    ("sp", 2): "StorageProvider does not exist",
    ("payment", 1204): "not payment account owner",
}


class ChainFault(Exception):
    """A refusal: what a node answers as codespace, code and log."""

    def __init__(self, codespace: str, code: int, log: str) -> None:
        super().__init__(codespace, code, log)
        self.codespace = codespace
        self.code = code
        self.log = log


def fault(codespace: str, code: int, text: str = "") -> ChainFault:
    """The registered error ``codespace/code``, wrapped by ``text`` as the Go code wraps it."""
    root = _ROOT_TEXTS[codespace, code]
    return ChainFault(codespace, code, f"{text}: {root}" if text else root)


def sdk(code: int, text: str = "") -> ChainFault:
    """An error of codespace ``sdk``."""
    return fault("sdk", code, text)


def storage(code: int, text: str = "") -> ChainFault:
    """An error of codespace ``storage``."""
    return fault("storage", code, text)


def greenfiled(code: int, text: str = "") -> ChainFault:
    """An error of codespace ``greenfiled`` (spelt so in v0.2.0)."""
    return fault("greenfiled", code, text)


def root_text(codespace: str, code: int) -> str:
    """The registered text of an error."""
    return _ROOT_TEXTS[codespace, code]
