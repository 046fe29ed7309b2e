"""What commands read from a store: its status, searches, exports. What must stay out: anything that changes a store."""
