"""Coloured shapes with boxes, masks and motion, in the formats of the real sets: small data for every task."""
