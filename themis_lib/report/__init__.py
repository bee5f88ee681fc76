"""Reports of runs and comparisons: pages, Markdown, plots and tables."""
