"""One module per actor: its plain class, and how it is built from a ``NodeConfig`` and ports.

A process imports the modules of the actors that it hosts; what it does not import, it does not pay
for.
"""
