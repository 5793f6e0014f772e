"""What the libraries give when they are used plainly, without the care that this project takes.

The benchmark builds prompts, token ids and constraint by itself, so much of what an upgrade moves
does not reach it. It does reach whoever calls the libraries as their documentation says. The same
stages are recorded here that way, so that ``compare`` and ``bisect`` tell of both.
"""
