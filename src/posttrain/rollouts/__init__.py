"""Sources: what is written, by whom, from where."""
