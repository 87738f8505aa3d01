"""What a network is, as plain data: its description, the block catalogue, closed-form counting, named networks."""
