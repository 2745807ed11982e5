"""Selections: which sequences of a collection, and which of their tokens, are trained on."""
