"""A tiny base model from nothing: its tokenizer, its text, its training, and the proof that it is a fit beginning."""
