"""The tables of the four papers, as printed, and every number of them that needs no training, recomputed."""
