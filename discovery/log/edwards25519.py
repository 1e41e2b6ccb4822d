"""Points of edwards25519 (RFC 8032 section 5.1), as a verifiable random function needs them.

No library here offers arithmetic on points. Python's integers take time that depends on their
value: whoever multiplies by a secret does so rarely and not on a stranger's demand.
"""

from __future__ import annotations

from typing import Final, TypeAlias

P: Final = 2**255 - 19
ORDER: Final = 2**252 + 27742317777372353535851937790883648493
_D: Final = -121665 * pow(121666, -1, P) % P
_ROOT: Final = pow(2, (P - 1) // 4, P)
_WINDOW: Final = 4
_DIGITS: Final = 64

# Extended homogeneous coordinates X, Y, Z, T (section 5.1.4).
Point: TypeAlias = tuple[int, int, int, int]
IDENTITY: Final[Point] = (0, 1, 1, 0)


def add(one: Point, other: Point) -> Point:
    """Return the sum of two points."""
    x1, y1, z1, t1 = one
    x2, y2, z2, t2 = other
    a = (y1 - x1) * (y2 - x2) % P
    b = (y1 + x1) * (y2 + x2) % P
    c = 2 * t1 * t2 * _D % P
    d = 2 * z1 * z2 % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def double(point: Point) -> Point:
    """Return twice a point."""
    x, y, z, _ = point
    a, b, c = x * x % P, y * y % P, 2 * z * z % P
    h = a + b
    e, g = h - (x + y) ** 2 % P, a - b
    f = c + g
    return e * f % P, g * h % P, f * g % P, e * h % P


def negative(point: Point) -> Point:
    """Return minus a point."""
    x, y, z, t = point
    return -x % P, y, z, -t % P


def combined(*terms: tuple[int, Point]) -> Point:
    """Return the sum of multiples, each by a number from 0 to 2**256 - 1."""
    tables = [(number, _multiples(point)) for number, point in terms]
    total = IDENTITY
    for digit in reversed(range(_DIGITS)):
        for _ in range(_WINDOW):
            total = double(total)
        for number, table in tables:
            if chosen := number >> (_WINDOW * digit) & 15:
                total = add(total, table[chosen])
    return total


def clear_cofactor(point: Point) -> Point:
    """Return eight times a point."""
    return double(double(double(point)))


def is_identity(point: Point) -> bool:
    """Tell whether a point is the neutral one."""
    x, y, z, _ = point
    return not x % P and (y - z) % P == 0


def encode(point: Point) -> bytes:
    """Return the 32 octets of a point (section 5.1.2)."""
    x, y, z, _ = point
    inverse = pow(z, -1, P)
    return (y * inverse % P | (x * inverse % P & 1) << 255).to_bytes(32, "little")


def decode(octets: bytes) -> Point | None:
    """Return the point of 32 octets, None where they are of none (section 5.1.3)."""
    if len(octets) != 32:
        return None
    number = int.from_bytes(octets, "little")
    y, sign = number & (1 << 255) - 1, number >> 255
    if y >= P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * _ROOT % P
    if (x * x - square) % P or (not x and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


def _multiples(point: Point) -> list[Point]:
    table = [IDENTITY, point]
    while len(table) < 1 << _WINDOW:
        table.append(add(table[-1], point))
    return table


_found = decode((4 * pow(5, -1, P) % P).to_bytes(32, "little"))
assert _found is not None
BASE: Final[Point] = _found
