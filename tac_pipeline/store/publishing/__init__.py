"""Published versions in another place: an object store or a folder, for readers who do not reach the data folder.

What must stay out: what a version holds (publication.py), and when it is good enough (assets/orchestration).
"""
