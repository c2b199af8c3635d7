"""Gateway: the HTTP front of a node."""
