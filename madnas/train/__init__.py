"""Training: a recipe and a network become a run folder with weights, a log and a report."""
