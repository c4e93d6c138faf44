#!/usr/bin/env python3
"""Fits the polynomials of the compiler's elementary functions and prints them as Rust.

    python3 scripts/minimax.py > crates/neurax-native/src/kernel/expand/coefficients.rs && cargo fmt

The method is the Remez exchange algorithm (E. Remez, 1934). For n coefficients, n + 1 points are
chosen. The polynomial whose weighted error has equal magnitude and alternating signs at the points
solves a linear system. The points move to the extrema of that error until they no longer change.
The weight makes the error relative to the function that uses the polynomial. mpmath computes
everything with 50 digits.
"""

import sys
import textwrap

from mpmath import mp, mpf

mp.dps = 50
GRID = 1500


def remez(f, weight, low, high, n):
    """Returns the n coefficients, lowest power first, and the largest weighted error."""
    low, high = mpf(low), mpf(high)
    chebyshev = lambda i, n: (low + high) / 2 - (high - low) / 2 * mp.cos(mp.pi * i / n)
    grid = [chebyshev(i, GRID) for i in range(GRID + 1)]
    # The polynomial is unconstrained where the weight is zero.
    grid = [x for x in grid if abs(weight(x)) > mpf("1e-9")]
    values, weights = [f(x) for x in grid], [weight(x) for x in grid]
    at = [round(i * (len(grid) - 1) / n) for i in range(n + 1)]
    for _ in range(60):
        rows = [
            [grid[i] ** k for k in range(n)] + [(-1) ** j / weights[i]] for j, i in enumerate(at)
        ]
        solution = mp.lu_solve(mp.matrix(rows), mp.matrix([values[i] for i in at]))
        c = list(solution)[:n]
        error = [(values[i] - mp.polyval(c[::-1], x)) * weights[i] for i, x in enumerate(grid)]
        new = extrema(error, n + 1)
        if new == at:
            break
        at = new
    return c, max(abs(e) for e in error)


def extrema(error, count):
    """Returns the indices of the largest errors with alternating signs."""
    best = []
    for i, e in enumerate(error):
        if best and (e > 0) == (error[best[-1]] > 0):
            if abs(e) > abs(error[best[-1]]):
                best[-1] = i
        else:
            best.append(i)
    while len(best) > count:
        # Removing the smaller end keeps the signs alternating.
        best.pop(0 if abs(error[best[0]]) < abs(error[best[-1]]) else -1)
    if len(best) < count:
        raise ValueError(
            f"{len(best)} alternations, not {count}: too few digits or a symmetric function"
        )
    return best


def off_zero(f, value):
    return lambda x: f(x) if x != 0 else value


# The factor by which the rounding of the reduction may enlarge a reduced argument.
SLACK = mpf("1.0001")
QUARTER = (mp.pi / 4 * SLACK) ** 2
HALF_LN2 = mp.log(2) / 2 * SLACK
# log(m) for m up to sqrt(2): s = (m - 1) / (m + 1), squared.
LARGEST_S = ((mp.sqrt(2) - 1) / (mp.sqrt(2) + 1) * SLACK) ** 2
root = mp.sqrt
# Below ERF_FROM, erf is x times a polynomial; from there to ERF_TO, 1 - exp(polynomial).
ERF_FROM, ERF_TO = mpf("0.921875"), mpf("4")


def of_root(f, value):
    """Returns z -> f(sqrt z), with `value` at 0."""
    return lambda z: f(root(z)) if z != 0 else value


def scaled_erfc(x):
    """Returns (1 + 2x) e^(x^2) erfc(x)."""
    return (1 + 2 * x) * mp.exp(x * x) * mp.erfc(x)


ERFC_AT = 4


def inverse_shift(t):
    """Returns the x for which t = (x - 4) / (x + 4)."""
    return ERFC_AT * (1 + t) / (1 - t)


# -log(1 - x^2), or its root: where one polynomial of the inverse error function ends and the next
# begins, and the points in the middle of each.
ERF_INV_ENDS = (0, mpf(5), mpf(4), mpf("6.0625"))
ERF_INV_MIDDLES = (mpf("2.5"), mpf("3.125"), mpf("5"))


def scaled_erf_inv(w):
    """Returns erf_inv(x) / x for the x with w = -log(1 - x^2)."""
    x = root(-mp.expm1(-w))
    if x == 0:
        return root(mp.pi) / 2
    # Newton's method on log(erfc(y)): erf has lost its digits near 1.
    y, tail = mpf(mp.erfinv(x)), mp.exp(-w) / (1 + x)
    for _ in range(3):
        y += mp.log(mp.erfc(y) / tail) * mp.erfc(y) * mp.exp(y * y) * root(mp.pi) / 2
    return y / x


def erf_inv_table(name, part, of_w, counts):
    """Returns the table of one range of the inverse error function, in of_w(w) - middle."""
    at, low, high = ERF_INV_MIDDLES[part], ERF_INV_ENDS[part], ERF_INV_ENDS[part + 1]
    low = root(low) if part == 1 else low
    number = f"`{of_w} - {mp.nstr(at, 4)}`, for {of_w} from {mp.nstr(low, 4)} to {mp.nstr(high, 5)}"
    f = lambda t: scaled_erf_inv((t + at) ** (1 if part == 0 else 2))
    doc = f"`erf_inv(x) / x` in {number}, w = -log(1 - x^2), relative to the result"
    return (name, doc, f, lambda t: 1 / f(t), low - at, high - at, counts)


TABLES = [
    (
        "EXP",
        "`(e^r - 1 - r) / r^2` for |r| <= ln(2)/2, relative to `e^r - 1`",
        off_zero(lambda r: (mp.exp(r) - 1 - r) / r**2, mpf(1) / 2),
        lambda r: abs(r),
        -HALF_LN2,
        HALF_LN2,
        (5, 10),
    ),
    (
        "LOG",
        "`(2 artanh(s) - 2 s) / s^3` in `s^2`, for s = (m - 1) / (m + 1), "
        "m from sqrt(1/2) to sqrt(2), relative to `2 s`",
        of_root(lambda s: (2 * mp.atanh(s) - 2 * s) / s**3, mpf(2) / 3),
        lambda z: z / 2,
        0,
        LARGEST_S,
        (3, 7),
    ),
    (
        "SIN",
        "`(sin(r) - r) / r^3` in `r^2`, for |r| <= pi/4, relative to the sine",
        of_root(lambda r: (mp.sin(r) - r) / r**3, -mpf(1) / 6),
        of_root(lambda r: r**3 / mp.sin(r), mpf(0)),
        0,
        QUARTER,
        (3, 6),
    ),
    (
        "COS",
        "`(cos(r) - 1 + r^2/2) / r^4` in `r^2`, for |r| <= pi/4, relative to the cosine",
        of_root(lambda r: (mp.cos(r) - 1 + r**2 / 2) / r**4, mpf(1) / 24),
        of_root(lambda r: r**4 / mp.cos(r), mpf(0)),
        0,
        QUARTER,
        (3, 6),
    ),
    (
        "POWER_LOG",
        "As `LOG`, in base 2 and without its first term, relative to that",
        of_root(lambda s: (2 * mp.atanh(s) - 2 * s) / s**3 / mp.log(2), mpf(2) / 3 / mp.log(2)),
        lambda z: z / 2,
        0,
        LARGEST_S,
        (4, 0),
    ),
    (
        "TANH",
        "`(tanh(x) - x) / x^3` in `x^2`, for |x| <= 0.55, relative to the result",
        of_root(lambda x: (mp.tanh(x) - x) / x**3, -mpf(1) / 3),
        of_root(lambda x: x**3 / mp.tanh(x), mpf(0)),
        0,
        mpf("0.55") ** 2 * SLACK,
        (5, 10),
    ),
    (
        "ATAN",
        "`(atan(x) - x) / x^3` in `x^2`, for |x| <= 1, relative to the result",
        of_root(lambda x: (mp.atan(x) - x) / x**3, -mpf(1) / 3),
        of_root(lambda x: x**3 / mp.atan(x), mpf(0)),
        0,
        1,
        (8, 0),
    ),
    (
        "ASIN",
        "`(asin(x) - x) / x^3` in `x^2`, for |x| <= 1/2, relative to the result",
        of_root(lambda x: (mp.asin(x) - x) / x**3, mpf(1) / 6),
        of_root(lambda x: x**3 / mp.asin(x), mpf(0)),
        0,
        SLACK / 4,
        (5, 0),
    ),
    (
        "CBRT",
        "The cube root from sqrt(1/2) to sqrt(2): a first guess for one step of Halley's method",
        mp.cbrt,
        lambda m: 1 / mp.cbrt(m),
        root(mpf(1) / 2),
        root(2),
        (4, 0),
    ),
    (
        "ERF",
        "`erf(x) / x - 1` in `x^2`, for |x| <= 59/64, relative to the result",
        of_root(lambda x: mp.erf(x) / x - 1, 2 / root(mp.pi) - 1),
        of_root(lambda x: x / mp.erf(x), root(mp.pi) / 2),
        0,
        ERF_FROM**2,
        (6, 0),
    ),
    (
        "ERF_TAIL",
        "`-log(1 - erf(x))` from 59/64 to 4, relative to `erf(x)` after the exponential",
        lambda x: -mp.log(mp.erfc(x)),
        lambda x: mp.erfc(x) / mp.erf(x),
        ERF_FROM,
        ERF_TO,
        (7, 0),
    ),
    (
        "ERFC",
        "`(1 + 2x) e^(x^2) erfc(x)` in `(x - 4) / (x + 4)`, for x from 0 to 10.5, "
        "relative to the result",
        lambda t: scaled_erfc(inverse_shift(t)),
        lambda t: 1 / scaled_erfc(inverse_shift(t)),
        -1,
        mpf("6.5") / mpf("14.5"),
        (11, 0),
    ),
    erf_inv_table("ERF_INV", 0, "w", (10, 22)),
    erf_inv_table("ERF_INV_TAIL", 1, "sqrt(w)", (10, 22)),
    erf_inv_table("ERF_INV_FAR", 2, "sqrt(w)", (0, 18)),
]

# Constants as sums of parts: (name, doc comment, value, bits of each part).
PARTS = [
    ("LN2_F32", "ln 2: the first part times a whole exponent is exact", mp.log(2), (15, 24)),
    ("LN2_F64", "ln 2: the first part times a whole exponent is exact", mp.log(2), (41, 53)),
    ("LOG2_E_F32", "1 / ln 2", 1 / mp.log(2), (24, 24)),
    (
        "FRAC_PI_2_F32",
        "pi/2 for CPUs that fuse: parts as long as the format",
        mp.pi / 2,
        (24, 24, 24),
    ),
    (
        "FRAC_PI_2_F32_SHORT",
        "pi/2 in parts whose product with a number of 9 bits is exact, and a rest",
        mp.pi / 2,
        (15, 15, 15, 24),
    ),
    (
        "FRAC_PI_2_F64",
        "pi/2 for CPUs that fuse: parts as long as the format",
        mp.pi / 2,
        (53, 53, 53),
    ),
    (
        "FRAC_PI_2_F64_SHORT",
        "pi/2 in parts whose product with a number of 20 bits is exact, and a rest",
        mp.pi / 2,
        (33, 33, 33, 53),
    ),
]


def split(x, bits):
    """Splits x into parts with the given bits; all but the last are truncated, not rounded."""
    parts = []
    for i, b in enumerate(bits):
        unit = mpf(2) ** (mp.floor(mp.log(abs(x), 2)) + 1 - b)
        part = (mp.nint if i == len(bits) - 1 else mp.floor)(x / unit) * unit
        parts.append(part)
        x -= part
    return parts


def rust(name, doc, c, error=None):
    """Returns the Rust constant, with the 17 digits that identify an f64."""
    lines = textwrap.wrap(f"{doc}: off by at most {mp.nstr(error, 2)}." if error else f"{doc}.", 96)
    lines = ["/// " + line for line in lines]
    lines += [f"pub const {name}: [f64; {len(c)}] = ["] + [f"    {float(x)!r}," for x in c] + ["];"]
    return "\n".join(lines)


def main():
    print(
        "//! Polynomials, lowest power first. Written by `scripts/minimax.py`, which derives them "
        "by Remez'\n//! exchange; not edited by hand."
    )
    print('\n#![allow(clippy::approx_constant, reason = "the parts of pi and ln 2")]')
    for name, doc, f, weight, low, high, counts in TABLES:
        for suffix, n in zip(("F32", "F64"), counts):
            if n:
                c, error = remez(f, weight, low, high, n)
                print(
                    file=sys.stderr, end=f"{name}_{suffix}: {n} coefficients, {mp.nstr(error, 3)}\n"
                )
                print("\n" + rust(f"{name}_{suffix}", doc, c, error))
    for name, doc, x, bits in PARTS:
        print("\n" + rust(name, doc, split(x, bits)))


if __name__ == "__main__":
    main()
