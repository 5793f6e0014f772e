"""How sure a figure is, with the queries of one sequence taken together."""
