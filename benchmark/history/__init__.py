"""Keep the results of watches over time; find slow drifts, and follow alarms from run to run."""
