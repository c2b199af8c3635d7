"""The Greenfield chain: keys, signatures, transactions, queries, and an embedded chain."""
