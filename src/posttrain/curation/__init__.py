"""Data sets made or chosen before a stage begins."""
