"""What is on disk: tables, artifacts, shards, the ledger, what is published.

What must stay out: what an asset means and what it reads (assets/).
"""
