"""What the commands read of a store: its status, searches, exports. Reads artifacts, calls the library."""
