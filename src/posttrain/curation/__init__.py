"""Which examples are learned from, decided before or between stages."""
