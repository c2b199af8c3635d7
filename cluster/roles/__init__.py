"""One module per actor: its plain class, how it is built from a ``NodeConfig`` and what its host
gives it, and by which names it can be found.

A process imports the modules of the actors that it hosts; what it does not import, it does not pay
for.
"""
