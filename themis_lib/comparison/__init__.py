"""Two or more runs side by side: what differs, how surely, and whether a gate lets it
pass.
"""
