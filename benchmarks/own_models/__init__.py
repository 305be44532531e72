"""Models that only benchmarks serve, beside those of `handlers/models`."""
