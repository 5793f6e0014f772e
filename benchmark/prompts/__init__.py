"""From a state's description to the token ids that a model is given."""
