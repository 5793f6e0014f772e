"""The evaluation core: settings, data, prompts, decoding, parsing and scoring, written once."""
