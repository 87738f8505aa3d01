"""Measurements that print ratios taken in one run, and scripts that write the tables of the documentation."""
