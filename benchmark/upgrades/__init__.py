"""Which release, commit or file changed a result, and whether a coming release would."""
