"""Training-free scaling: a base network wider, narrower, deeper or shallower, by NN-Mass and closed forms alone."""
