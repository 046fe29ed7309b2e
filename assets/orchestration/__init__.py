"""Everything of Dagster: definitions, jobs, automation, checks, its instance, and publishing."""
