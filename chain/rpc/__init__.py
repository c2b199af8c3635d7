"""The way to a node: CometBFT JSON-RPC over web3's HTTP provider."""
