"""Best-so-far curves of several searches over one task (Figures 7 to 12 of Zen-NAS)."""
