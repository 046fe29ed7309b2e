"""Tables as people have them: text with separators, JSON lines, lists of paths, Parquet, NumPy's matrices.

Columns that are not ours are never parsed, so they cannot refuse a file. A row that cannot be read is a sentence with
its place, and the others are read. What must stay out: what the values mean (sources/manifests.py, vectors.py).
"""
