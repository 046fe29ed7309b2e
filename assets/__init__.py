"""The Dagster project: one short file per group of assets. Nothing here computes; tac_pipeline does."""
