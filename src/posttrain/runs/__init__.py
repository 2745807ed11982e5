"""Runs: a method, a model and problems become a folder of results."""
