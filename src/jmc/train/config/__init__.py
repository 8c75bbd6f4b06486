"""What is asked for: a config file, its keys and values, and what is said where they are wrong. No JAX."""
