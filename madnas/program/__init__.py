"""DeepMAD's mathematical program, Eq. (5): build it, solve it, make it integer, bound it, explain it."""
