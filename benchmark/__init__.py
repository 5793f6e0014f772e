"""Does a language model track entities, and has an upgrade changed its score?"""

__version__ = "0.1.0"
