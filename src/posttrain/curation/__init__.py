"""Curation: which examples a later stage trains on, and with which answers, decided once between stages."""
