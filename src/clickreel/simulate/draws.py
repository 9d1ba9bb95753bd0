"""Randomness by address: every draw is a hash of where it stands, never of what was drawn before.

A draw's address is a path of numbers (seed, purpose, user, day, session, visit, rank). Each step down the path is
``child(key, n) = mix(key + (n + 1) * GOLDEN)``, the step of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014) with the finaliser
"variant 13" of Stafford, the one with the least measured bias (avalanche within 1e-3 of one half for every pair of bits). So a block of the
timeline needs nothing of the block before it, and the answer cannot depend on how the work was cut into batches.

Philox would give the same guarantee with a proof for the whole counter space; in NumPy it costs ten rounds of two wide
multiplications, about 15 times the price of this, and the tests of uniformity and independence (``tests/simulate/test_draws.py``) pass with this.

Uint64 arrays wrap silently in NumPy but NumPy scalars warn, so the scalar forms work on Python integers.
"""

from __future__ import annotations

import hashlib
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from clickreel.simulate.normal import normal_quantile

U64 = NDArray[np.uint64]
F64 = NDArray[np.float64]

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
_C1 = 0xBF58476D1CE4E5B9
_C2 = 0x94D049BB133111EB


class Purpose(IntEnum):
    """First step below the seed: which question the draw answers. A number, once given, is never used for anything else."""

    POPULARITY = 1
    SEGMENTS = 2
    TASTE = 3
    TENURE = 4
    USER = 5
    RANKER = 6
    SHELF = 7
    NEAR = 8
    BURST = 9
    LAUNCH = 10
    SESSION_ID = 11
    FLAW = 12
    ACTIVITY = 13
    FILMS = 14
    ACTOR = 15
    PILOT = 16
    WEATHER = 17
    POOL = 18
    SHAPE = 19


def mix1(x: int) -> int:
    """The finaliser on one Python integer of 64 bits."""
    x = (x ^ (x >> 30)) * _C1 & MASK
    x = (x ^ (x >> 27)) * _C2 & MASK
    return x ^ (x >> 31)


def child1(key: int, n: int) -> int:
    """One step down the path, on Python integers; the twin of :func:`child`."""
    return mix1((key + (n + 1) * GOLDEN) & MASK)


def root(seed: int, purpose: Purpose, *path: int) -> int:
    """The key of a purpose of a world, and of a path below it."""
    key = child1(mix1(seed & MASK), int(purpose))
    for step in path:
        key = child1(key, step)
    return key


def text_key(text: str) -> int:
    """64 bits of a text (SHA-256), for names that must become numbers."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def mix(x: U64) -> U64:
    """The finaliser on an array; ``x`` itself is used up as scratch space."""
    x ^= x >> np.uint64(30)
    x *= np.uint64(_C1)
    x ^= x >> np.uint64(27)
    x *= np.uint64(_C2)
    x ^= x >> np.uint64(31)
    return x


def child(key: U64 | int, n: int | NDArray[np.integer]) -> U64:
    """One step down the path for many keys, many numbers, or both of equal length; at least one is an array."""
    if isinstance(n, int):
        assert not isinstance(key, int)
        return mix(key + np.uint64((n + 1) * GOLDEN & MASK))
    step = n.astype(np.uint64)
    step *= np.uint64(GOLDEN)
    if isinstance(key, int):
        step += np.uint64((key + GOLDEN) & MASK)
    else:
        step += key
        step += np.uint64(GOLDEN)
    return mix(step)


def uniform(key: U64) -> F64:
    """The key read as a number in the open interval (0, 1): 52 bits and a half, so never 0 and never 1."""
    numbers = (key >> np.uint64(12)).astype(np.float64)
    numbers *= 2.0**-52
    numbers += 2.0**-53
    return numbers


def uniform1(key: int) -> float:
    """The scalar twin of :func:`uniform`."""
    return (key >> 12) * 2.0**-52 + 2.0**-53


def draw(key: U64, n: int) -> F64:
    """Uniform number ``n`` of each key."""
    return uniform(child(key, n))


def normal(key: U64, n: int) -> F64:
    """Standard normal number ``n`` of each key, by inversion."""
    return normal_quantile(draw(key, n))


def bell(key: U64) -> F64:
    """A bell-shaped number of each key: the sum of its four 16-bit parts, mean 0, variance 1, never beyond 3.47.

    Irwin and Hall's sum stands for a normal where the far tail does not matter: a tenth of the price of an inversion, and whole
    numbers until the last step, so every processor agrees on it.
    """
    total = (key & np.uint64(0xFFFF)) + ((key >> np.uint64(16)) & np.uint64(0xFFFF))
    total += ((key >> np.uint64(32)) & np.uint64(0xFFFF)) + (key >> np.uint64(48))
    bells: F64 = (total.astype(np.float64) - 131_070.0) * (3.0**0.5 / 65_536.0)
    return bells


def bell1(key: int) -> float:
    """The scalar twin of :func:`bell`."""
    total = (key & 0xFFFF) + ((key >> 16) & 0xFFFF) + ((key >> 32) & 0xFFFF) + (key >> 48)
    return float((total - 131_070.0) * (3.0**0.5 / 65_536.0))


def mix32(x: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Murmur3's finaliser on 32 bits, in place: vectorised by every processor, where 64-bit products are not."""
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x85EBCA6B)
    x ^= x >> np.uint32(13)
    x *= np.uint32(0xC2B2AE35)
    x ^= x >> np.uint32(16)
    return x


def gumbel_steps(bits: int, unit: float) -> NDArray[np.uint32]:
    """Quantiles of the Gumbel law at the middle of ``2**bits`` equal steps, 4 added, in whole numbers of ``1 / unit``."""
    u = (np.arange(1 << bits) + 0.5) / (1 << bits)
    return np.round((4.0 - np.log(-np.log(u))) * unit).astype(np.uint32)


def gumbel(key: U64) -> NDArray[np.float32]:
    """Standard Gumbel noise: adding it to log weights and sorting draws without replacement (Plackett, Luce)."""
    # 23 bits and a half are what float32 holds exactly: never 0 and never 1, where the logarithm ends.
    u: NDArray[np.float32] = (key >> np.uint64(41)).astype(np.float32)
    u += np.float32(0.5)
    u *= np.float32(2.0**-23)
    np.log(u, out=u)
    np.negative(u, out=u)
    np.log(u, out=u)
    noise: NDArray[np.float32] = np.negative(u, out=u)
    return noise


def poisson(u: F64, mean: F64, most: int) -> NDArray[np.int64]:
    """Poisson counts by inversion, cut at ``most``.

    Args:
        u: Uniforms in (0, 1).
        mean: Mean of each count, same shape.
        most: Largest count; the tail beyond it counts as ``most``.
    """
    counts = np.zeros(u.shape, np.int64)
    term = np.exp(-mean)
    rows = np.flatnonzero(u > term)
    # Most people do nothing on most days: the loop runs on those who do.
    u, mean, term = u[rows], mean[rows], term[rows]
    reached = term.copy()
    for count in range(1, most + 1):
        counts[rows] = count
        term = term * mean / count
        reached += term
        more = u > reached
        if not more.any():
            break
        rows, u, mean, term, reached = rows[more], u[more], mean[more], term[more], reached[more]
    return counts


def weibull_ms(shape: float, bits: int = 16) -> NDArray[np.float32]:
    """Quantiles of a Weibull distribution with mean 1 at the middle of each of ``2**bits`` equal steps.

    A table instead of a formula: one lookup (about 2 ns) stands for a logarithm and a power (about 30 ns), and a page dwell is drawn for
    each event. The step bounds the tail: the largest quantile at 16 bits and shape 0.75 is about 21 means.
    """
    u = (np.arange(1 << bits) + 0.5) / (1 << bits)
    quantiles = (-np.log(u)) ** (1.0 / shape)
    table: NDArray[np.float32] = (quantiles / quantiles.mean()).astype(np.float32)
    return table
