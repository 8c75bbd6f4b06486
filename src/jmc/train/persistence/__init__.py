"""What is kept on disk: the directory of a run, its checkpoints, and how both are found again."""
