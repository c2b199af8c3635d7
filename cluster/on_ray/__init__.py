"""Everything that knows Ray: the runtime, hosts of actors, ports, columns in its object store."""
