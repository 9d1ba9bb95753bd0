"""Benchmarks, each a command: ratios measured in one run on one machine."""
