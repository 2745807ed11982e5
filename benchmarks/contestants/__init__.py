"""The contestants: each a program of its own, in an environment of its own, that does the same work."""
