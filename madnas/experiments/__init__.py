"""The papers' experiments as recipes that anybody can run: networks trained, measured and set against the theory."""
