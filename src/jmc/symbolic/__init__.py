"""From code to formula: a traced function as index expressions, its derivative in the notation of mathematics."""
