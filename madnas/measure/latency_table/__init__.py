"""Latency tables: what the parts of a space's networks cost on one device, and from that what a whole network costs.

Reading a table and predicting with it needs no torch; ``README.md`` says how one is measured.
"""

from madnas.measure.latency_table.table import LatencyTable, load_table

__all__ = ["LatencyTable", "load_table"]
