"""Training: from a config file to a run directory.

The rooms stand in the order in which they may read each other, each only those before it: `config`, `data`, `learning`,
`persistence`, `report`. Above them all, `run` and `fit` lead a run through them, and `signals` tells both when to stop.
"""
