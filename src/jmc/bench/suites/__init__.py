"""The suites of `jmc bench`, each a file with `SERIES`, the cases by name; they use public names of jmc alone."""
