"""What a step is, how it is computed, and when its artifact is used again. Knows nothing of Dagster."""
