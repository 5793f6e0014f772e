"""The luminance of colours."""

from collections.abc import Iterable


def luminance(colour: Iterable[int]) -> float:
    """Return WCAG 2's relative luminance in 0..1 of an sRGB colour with channels in 0..255."""
    channels = (channel / 255 for channel in colour)
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
