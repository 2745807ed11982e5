"""What recipes do with whole sets of weights between stages: keep them, go back to them, add differences of them."""
