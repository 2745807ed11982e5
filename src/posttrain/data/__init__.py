"""Reading training data from files."""
