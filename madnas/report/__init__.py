"""Documents, tables and plots of what the other rooms made: designs, scores, lists."""
