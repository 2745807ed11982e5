"""How a gradient moves the weights, where that is not plain AdamW."""
