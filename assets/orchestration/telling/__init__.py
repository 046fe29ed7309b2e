"""What people are told of a store without asking: the summary of each run, and alerts.

What must stay out: how a message is sent, and who knows of it (tac_pipeline/alerts).
"""
