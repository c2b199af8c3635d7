"""What is set, and what actors, clients and the next start are told of it."""
