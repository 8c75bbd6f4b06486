"""What is learned from: tables, read whole or in blocks, as arrays on the host. No JAX."""
