"""Engines: they write text with the policy's current weights."""
