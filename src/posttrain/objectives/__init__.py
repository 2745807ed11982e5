"""Objectives: losses per token, pure and never normalised."""
