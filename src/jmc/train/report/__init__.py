"""What is shown: progress and a summary on the terminal, and pages of one run or of several."""
