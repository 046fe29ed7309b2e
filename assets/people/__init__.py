"""What people say of the groups: their corrections as they are written, applied to a result, and handed to learning.

What must stay out: what a correction means (tac_pipeline/results/corrections/).
"""
