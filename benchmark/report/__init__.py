"""Reports: the paper's figures and tables, and the page."""
