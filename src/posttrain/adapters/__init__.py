"""Which numbers of the model are trained, and how they fold back into it."""
