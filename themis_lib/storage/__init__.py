"""Tables and rows at rest."""
