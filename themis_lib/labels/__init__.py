"""Labels that people give to what a metric scored: drawn, given, kept and found."""
