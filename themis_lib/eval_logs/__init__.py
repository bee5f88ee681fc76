"""Logs of other evaluation tools, read as samples: lm-eval, Inspect and promptfoo."""
