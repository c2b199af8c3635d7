"""Uploader, TaskNode, P2P, Receiver, Signer: plain classes over ports."""
