"""A stage maps rows to rows."""
