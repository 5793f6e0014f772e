"""Write a difference with its sign, as all tables, figures and lines do."""


def signed(value: float, digits: int = 1) -> str:
    """Return a number with its sign; a value that rounds to zero has a plus.

    ``signed(-0.04)`` is ``+0.0``: a minus in front of a zero would show a direction that the digits
    do not.
    """
    return f"{value:+z.{digits}f}"


def signed_points(share: float, digits: int = 1) -> str:
    """Return a difference of shares in points, with its sign: ``signed_points(0.1)`` is ``+10.0``.

    ``share`` is between -1 and 1.
    """
    return signed(100 * share, digits)
