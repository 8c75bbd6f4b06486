"""The algebra: a linear map is a sum of einsums (`LinearMap`, `Term`), whose structure is in its labels."""
