"""What comes from a peer over HTTP: from a gateway, a chain's node, another storage provider."""
