"""Whether a model gives the same answers however it is asked: alone, at once, later."""
