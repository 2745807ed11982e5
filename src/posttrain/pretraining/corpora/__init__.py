"""What a base model has read: one file per corpus, each with ``write`` and ``tokenizer``."""
