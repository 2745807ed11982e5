"""Theory of exploration: how many answers must be judged before a search tree's one right leaf is found.

A tabular model small enough for exact numbers, after Section 4 of "UFT: Unifying Supervised and Reinforcement
Fine-Tuning" (arXiv 2505.16984). Nothing here needs torch.
"""
