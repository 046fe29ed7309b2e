"""From vectors to groups without training: k-means, its joins, its count, and the neighbors of every row."""
