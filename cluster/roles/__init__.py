"""One module per actor: its plain class, and how it is built from a ``NodeConfig`` and ports.

An actor's process imports its own module only; what it does not import, it does not pay for.
"""
