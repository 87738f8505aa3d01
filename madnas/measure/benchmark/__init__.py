"""Networks side by side: built, timed in turns, compared with intervals; and what the device can do at most."""
