"""What clusters are beside others: earlier ones, true labels, each other, and their most typical members."""
