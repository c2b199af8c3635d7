"""The Greenfield chain: keys, signatures, transactions, queries, and an embedded chain."""

if (
    __name__ != "greenray.chain"
):  # found as a folder, by a process that runs at the repository's top
    raise ImportError("this package is imported as greenray.chain", name=__name__)
