"""What a result depends on besides the model, so that a shift can be traced."""
