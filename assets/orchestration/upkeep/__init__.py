"""What keeps a store going that nobody looks after: unfinished learning is taken up, and the history stays small."""
