"""Control models: tiny models with a known ability or defect, which calibrate the benchmark."""
