"""Uploader, TaskNode, P2P, Receiver, Signer: plain classes over ports."""

if (
    __name__ != "greenray.actors"
):  # found as a folder, by a process that runs at the repository's top
    raise ImportError("this package is imported as greenray.actors", name=__name__)
