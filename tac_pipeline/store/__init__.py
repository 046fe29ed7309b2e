"""What is on disk: tables, artifacts, shards, the ledger and the published versions.

What must stay out: what an asset means and what it reads (assets/).
"""
