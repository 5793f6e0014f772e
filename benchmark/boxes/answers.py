"""The form that answers must have, as a regular expression.

The expression is Figure 4 of the paper: each box contains any number of words.
"""


def answer_expression(boxes: int) -> str:
    """Return the regular expression of an answer about ``boxes`` boxes."""
    clauses = ", ".join(rf"Box {box} contains( [a-zA-Z]+)*" for box in range(boxes))
    return rf"Statement: {clauses}\."
