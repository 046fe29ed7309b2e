"""What is made of what was learned, for every image of a store: assigning, correcting, searching, reviewing."""
