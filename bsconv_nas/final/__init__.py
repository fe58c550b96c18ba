"""Final comparison: the best networks of a study trained fully with several seeds, beside hand-made references."""
