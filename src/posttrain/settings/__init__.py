"""Settings: what a method or a task can be told, read from its source, checked, and turned into its arguments.

There is no second configuration class: the schema is the signature of a method's ``recipe`` and the annotations of the
dataclasses in it. Everything but :mod:`posttrain.settings.building` reads them without importing them, so that a
misspelt setting is answered at once instead of after the imports of torch.
"""
