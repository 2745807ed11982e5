"""Tasks: each one file with a seeded generator, a prompt, worked solutions in ordered chunks, and a verifier."""
