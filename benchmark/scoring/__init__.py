"""From text to answers, outcomes and counts. No text makes a function here raise."""
