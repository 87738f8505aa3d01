"""Zero-cost scores of a module: what can be said of a network at initialisation, by running it and not training it."""
