"""The evaluation core: settings, data, prompts, decoding, parsing and scoring, each written once."""
