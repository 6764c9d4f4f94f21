"""Benchmarks of the whole chain, run on a local stack's servers."""
