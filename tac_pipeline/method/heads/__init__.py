"""The two cluster heads: their form, losses and training, the joined heads, and assignment by them."""
