"""The command line: one verb per file. It translates between the shell and the library and computes nothing."""
