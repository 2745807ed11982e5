"""The command line: reads and checks everything that a person wrote, then imports what the work needs."""
