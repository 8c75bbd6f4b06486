"""Training: from a config file to a run directory."""
