"""What a built module costs: counted by operator on its trace, and compared with the closed form."""
