"""From what each stage costs to a cluster for a wanted throughput."""
