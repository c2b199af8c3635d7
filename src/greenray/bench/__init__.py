"""Benchmarks: what each stage costs, beside what the machine allows (``greenray bench``)."""
