"""How bright colours are."""

from collections.abc import Iterable


def luminance(colour: Iterable[int]) -> float:
    """Relative luminance (WCAG 2), 0..1, of an sRGB colour's red, green and blue in 0..255."""
    parts = [part / 255 for part in colour]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
