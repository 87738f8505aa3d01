"""The way of a restructured network from the search to the collapsed form, on real data (Section 2 of RAN)."""
