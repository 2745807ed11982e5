"""The tiny base model that is shipped with the package, and what it was measured to be (``fitness.json``)."""
