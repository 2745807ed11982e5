"""Decoding: rules that change which token is written next, without any training."""
