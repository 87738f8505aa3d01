"""Tables and plots, made from the files that the other rooms wrote."""
