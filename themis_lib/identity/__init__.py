"""Digests, fingerprints and keys; code as identity."""
