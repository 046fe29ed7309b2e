"""Code locations: which stores one holds, and on which Dagster instance it runs."""
