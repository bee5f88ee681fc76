"""What would be computed, and why a row is what it is."""
