"""Ready-made stages, each with its settings: what recipes of methods are put together from."""
