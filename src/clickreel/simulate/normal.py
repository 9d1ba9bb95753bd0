"""Quantiles of the standard normal distribution, the only special function that the simulator needs.

SciPy has it too, at 140 MB for four calls; NumPy has no quantile function.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

# Wichura, "Algorithm AS 241: The Percentage Points of the Normal Distribution", Applied Statistics 37 (1988): the rational approximations of
# PPND16, relative error about 1e-16. Numerator and denominator, highest power first.
_CENTRE = (
    (
        2509.0809287301227,
        33430.57558358813,
        67265.7709270087,
        45921.95393154987,
        13731.69376550946,
        1971.5909503065513,
        133.14166789178438,
        3.3871328727963665,
    ),
    (
        5226.495278852854,
        28729.085735721943,
        39307.89580009271,
        21213.794301586597,
        5394.196021424751,
        687.1870074920579,
        42.31333070160091,
        1.0,
    ),
)
_TAIL = (
    (
        0.0007745450142783414,
        0.022723844989269184,
        0.2417807251774506,
        1.2704582524523684,
        3.6478483247632045,
        5.769497221460691,
        4.630337846156546,
        1.4234371107496835,
    ),
    (
        1.0507500716444169e-09,
        0.0005475938084995345,
        0.015198666563616457,
        0.14810397642748008,
        0.6897673349851,
        1.6763848301838038,
        2.053191626637759,
        1.0,
    ),
)
_FAR_TAIL = (
    (
        2.0103343992922881e-07,
        2.7115555687434876e-05,
        0.0012426609473880784,
        0.026532189526576124,
        0.29656057182850487,
        1.7848265399172913,
        5.463784911164114,
        6.657904643501103,
    ),
    (
        2.0442631033899397e-15,
        1.421511758316446e-07,
        1.8463183175100548e-05,
        0.0007868691311456133,
        0.014875361290850615,
        0.1369298809227358,
        0.599832206555888,
        1.0,
    ),
)
_CENTRE_HALF_WIDTH = 0.425
_FAR_FROM = 5.0


def normal_quantile(probability: F64) -> F64:
    """The standard normal value below which a share of the distribution lies.

    Args:
        probability: Shares, above 0 and below 1 (float64, any shape).

    Returns:
        Values of the same shape, about -8.3 to 8.3 for what 53 bits can hold.
    """
    p = np.asarray(probability, np.float64)
    offset = p - 0.5
    out: F64 = _ratio(0.180625 - offset * offset, _CENTRE) * offset
    outside = np.flatnonzero(np.abs(offset).ravel() > _CENTRE_HALF_WIDTH)
    if len(outside):
        sides = offset.ravel()[outside]
        smaller = np.where(sides < 0, p.ravel()[outside], 1 - p.ravel()[outside])
        distance = np.sqrt(-np.log(smaller))
        value = _ratio(distance - 1.6, _TAIL)
        far = np.flatnonzero(distance > _FAR_FROM)
        value[far] = _ratio(distance[far] - _FAR_FROM, _FAR_TAIL)
        out = np.ascontiguousarray(out)
        out.reshape(-1)[outside] = np.copysign(value, sides)
    return out


def _ratio(at: F64, coefficients: tuple[tuple[float, ...], tuple[float, ...]]) -> F64:
    """Numerator over denominator at some places, by Horner's rule."""
    sides = []
    for powers in coefficients:
        total = np.full_like(at, powers[0])
        for coefficient in powers[1:]:
            total *= at
            total += coefficient
        sides.append(total)
    return np.divide(sides[0], sides[1], out=sides[0])
