"""The form that answers must have, as a regular expression and as a grammar.

The expression is Figure 4 of the paper: each box contains any number of words.
"""


def answer_expression(boxes: int) -> str:
    """Return the regular expression of an answer about ``boxes`` boxes."""
    clauses = ", ".join(rf"Box {box} contains( [a-zA-Z]+)*" for box in range(boxes))
    return rf"Statement: {clauses}\."


def answer_grammar(boxes: int) -> str:
    """Return the grammar of the same answers, in llama.cpp's notation (GBNF)."""
    clauses = [f'"Box {box} contains" words' for box in range(boxes)]
    root = '"Statement: " ' + ' ", " '.join(clauses) + ' "."'
    return f'root ::= {root}\nwords ::= (" " [a-zA-Z]+)*\n'
