"""Everything that is Dagster's: definitions, jobs, automation, checks, its instance, and publishing."""
