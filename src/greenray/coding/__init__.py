"""Reed-Solomon and hashing kernels behind one interface, byte-identical to the Go reference."""
