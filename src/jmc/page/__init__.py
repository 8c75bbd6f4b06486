"""What every page has in common: its look, its figures, and how it writes numbers."""
