"""Rules: each function beside its derivative in closed form, one file per family."""
