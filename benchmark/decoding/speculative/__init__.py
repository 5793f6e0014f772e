"""The project's own engine: several tokens per pass, and the same tokens as one by one."""
