"""One offline page of results: what other commands wrote, collected, drawn and put into a single HTML file."""
