"""The paper's claims as executable hypotheses, decided on any set of results."""
