"""Spans and metrics of runs for OpenTelemetry; nothing of it is imported while off."""
