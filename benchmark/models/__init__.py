"""Models and tokenizers: where they come from, how they are loaded, what they run on."""
