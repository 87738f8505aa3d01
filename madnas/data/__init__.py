"""Data to train on: datasets by name, the order of their samples, augmentation, and a ledger of what is broken."""
