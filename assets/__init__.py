"""The Dagster project: one short file per group of assets. What must stay out: computation (tac_pipeline)."""
