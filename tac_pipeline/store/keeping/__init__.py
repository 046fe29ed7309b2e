"""What lets a store last for years: the rows of training sets, the check of every file, backup and restore.

What must stay out: the formats of the files themselves (tac_pipeline/store/).
"""
