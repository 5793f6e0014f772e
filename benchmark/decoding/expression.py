"""The regular expression that answers must match (Figure 4 of the paper)."""


def answer_expression(boxes: int) -> str:
    """The paper's expression for so many boxes: each contains any number of words."""
    clauses = ", ".join(rf"Box {box} contains( [a-zA-Z]+)*" for box in range(boxes))
    return rf"Statement: {clauses}\."
