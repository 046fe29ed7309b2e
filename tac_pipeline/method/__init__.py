"""Steps 3 to 10 of Text-Aided Clustering, one file per step: pure functions on arrays, every random choice seeded."""
