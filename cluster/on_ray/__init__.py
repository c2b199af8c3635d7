"""Everything that knows Ray: the runtime, hosts of actors, ports, columns in its object store."""

import os
import sys

# Read when Ray is imported. A driver that does not know its raylet's process takes an end of its
# own parent for that of the raylet, and when its connection to the raylet breaks off, exits without
# a word: with --detach, or as a service, its parent is init. Ray's own processes know the raylet's,
# and have imported Ray before.
if "ray" not in sys.modules:
    os.environ["RAY_RAYLET_PID"] = str(os.getpid())
