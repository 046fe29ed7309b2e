"""Where images are encoded: on this machine, or by the workers of a Ray cluster.

    work.py    what a worker does: read, decode and encode some images    cluster.py    the workers of a Ray cluster

The store has one writer in either case: workers hand back vectors, and know no store. What must stay out: what is
written (embedding/) and what an encoder is (encoders/).
"""
