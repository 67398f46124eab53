"""Benchmarks: each verifies its own output and compares within one run."""
