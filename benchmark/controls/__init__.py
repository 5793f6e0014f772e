"""Control models: tiny models with a known defect or ability, which calibrate the instrument."""
