"""What is worth a look in a store: typical images, border cases, outliers, near-duplicates."""
