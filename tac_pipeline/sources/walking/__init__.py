"""Looking through a local folder: the files below it, and what is kept of the folders that have not changed.

    walk.py    the files below a folder that no rule of a folder passes over
    kept.py    what was found in each folder last time, for those that are as they were

What must stay out: which files are images (sources/rules.py), and what is in an archive (sources/archives.py).
"""
