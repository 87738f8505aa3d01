"""Evolutionary search over any space and any score (Zen-NAS), reproducible, parallel, and safe against crashes."""
