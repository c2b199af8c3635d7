"""Random worlds: a whole network in one process, what users do to it, and faults by a plan that a
seed gives (docs/reliability.md)."""
