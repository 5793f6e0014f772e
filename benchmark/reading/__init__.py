"""Read files from other sources: one reader per format, each with bounds.

A file may be hostile or damaged: it may never end, unpack to gigabytes, nest endlessly, or be a
pipe without a writer. Every reader stops at a bound and raises an error of one line that names the
file, the bound, and how to raise it.
"""
