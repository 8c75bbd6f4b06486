"""From a traced function to its derivative, by the rules of the catalogue."""
