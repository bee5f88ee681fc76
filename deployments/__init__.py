"""Where and when evaluations run, never what."""
