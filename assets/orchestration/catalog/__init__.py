"""What Dagster's catalog shows of an asset beside its result: owners, freshness, lineage of columns, code, links."""
