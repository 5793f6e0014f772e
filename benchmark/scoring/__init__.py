"""From text to answers, outcomes and counts; every function here takes any input."""
