"""Results for every image of a store, made with the learned groups: assigning, correcting, searching, reviewing."""
