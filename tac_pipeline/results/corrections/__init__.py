"""People's corrections: a small file of names, merges and pins, applied on top of the ledger after every run.

written.py reads the file, many_pins.py its longest part; following.py finds where ids that are gone went; applied.py
decides what the file means for the clusters there are; merging.py and pinning.py carry it out. Nothing is imported
here. What must stay out: artifacts (assets/people/), and what an id means (store/ledger.py).
"""
