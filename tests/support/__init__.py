"""What several tests share: components, servers, graphs, and ways to look at what a run
left.
"""
