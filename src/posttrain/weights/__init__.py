"""Between stages: keeping, mixing and putting back the weights of a policy."""
