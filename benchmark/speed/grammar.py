"""The answer expression as a grammar in llama.cpp's notation (GBNF)."""


def answer_grammar(boxes: int) -> str:
    """Accepts what :func:`benchmark.decoding.expression.answer_expression` does."""
    clauses = [f'"Box {box} contains" words' for box in range(boxes)]
    root = '"Statement: " ' + ' ", " '.join(clauses) + ' "."'
    return f'root ::= {root}\nwords ::= (" " [a-zA-Z]+)*\n'
