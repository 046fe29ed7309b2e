"""The method's use of nouns: the vocabulary, the text counterparts, their weight, and names."""
