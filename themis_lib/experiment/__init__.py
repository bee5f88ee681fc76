"""The experiment as users write it."""
