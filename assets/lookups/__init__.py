"""What the commands read of a store: its status, searches, exports. Computes nothing, changes nothing."""
