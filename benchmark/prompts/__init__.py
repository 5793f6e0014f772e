"""From a state's description to the token ids of a prompt."""
