"""Wire dialects of the chain, one module each."""
