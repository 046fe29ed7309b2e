"""Steps: how they are declared and computed, and when an artifact is used again. What must stay out: Dagster."""
