"""P2P: approvals between storage providers."""
