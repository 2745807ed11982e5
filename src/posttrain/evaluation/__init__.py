"""Evaluation: held-out problems, from scratch, never with hints."""
