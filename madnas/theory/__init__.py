"""The papers' formulas, one home each: no torch, no files. ``README.md`` maps equation to function to test."""
