"""Restructuring: what became linear is merged, exactly, and proven equal."""
