"""madnas: design, score, scale, restructure, train and benchmark convolutional networks under budgets."""

__version__ = "0.1.0"
