"""Figures 2, 3 and 5 of DeepMAD: random networks of one cost, their entropy and accuracy against effectiveness."""
