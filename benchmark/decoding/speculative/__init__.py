"""The project's own engine: several tokens a pass, and the same tokens as one by one."""
