"""Rewards: a group of rollouts in, one verdict each out."""
