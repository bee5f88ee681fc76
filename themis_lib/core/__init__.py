"""Models, identity, tables, store, stages: what an evaluation is made of."""
