"""The library against its peers, and against the limits of the machine: ``make bench``."""

import os

# The bars of transformers would be drawn between the rows of results; it reads this when it is imported.
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
