"""Who moved a stage: a bisection and its like, as text."""
