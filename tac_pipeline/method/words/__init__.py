"""From nouns to what images and groups say: the vocabulary, the text counterparts, their weight, and names."""
