"""A store that an earlier version wrote, and what wrote it; `test_stored.py` finds
every row of it again.
"""
