"""Credit: the rewards of a group become advantages."""
