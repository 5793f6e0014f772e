"""The proof that the benchmark works on a GPU: stages that each prove one thing."""
