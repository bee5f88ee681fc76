"""Whether what a store says of a run is still true."""
