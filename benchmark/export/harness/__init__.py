"""The boxes task for other harnesses, with our prompts, our scorer and, if wanted, our engines."""
