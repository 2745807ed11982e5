"""Every tolerance that a test may use, with its reason. Tests contain no tolerance of their own."""

ROUNDING = 1e-12
"""Float64 arithmetic of a few operations whose result is known on paper."""

MODEL = 1e-6
"""The same model's numbers by another route: its norms run in float32 whatever the weights are."""

GRADIENT = 1e-6
"""A gradient accumulated in another order, float64 weights."""

FLOAT32_RECORD = 1e-5
"""A number that was stored as float32 on its way."""

FLOAT32_MODEL = 1e-4
"""A float32 model's numbers by another route."""

VISIBLE = 1e-2
"""A difference that a test has to see: at least this."""

STANDARD_ERRORS = 4.0
"""How many standard errors a seeded sample may lie from its expectation."""
