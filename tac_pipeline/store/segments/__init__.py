"""Large tables in several files: how they are cut, read one by one, and what is kept of each."""
