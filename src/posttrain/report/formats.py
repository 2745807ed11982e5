"""Numbers as people read them. What is not known is called so, and never becomes a zero."""

from __future__ import annotations

from collections.abc import Sequence

UNKNOWN = "unknown"
MINUS = "\N{MINUS SIGN}"
FLOP_UNITS = ("FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP", "EFLOP", "ZFLOP")


def share(value: float | None) -> str:
    """A share of 1 in percent: ``12.3%``."""
    return UNKNOWN if value is None else f"{100 * value:.1f}%"


def interval(ends: Sequence[float | None] | None) -> str:
    """The two ends of an interval of shares, in points: ``[9.7, 15.5]``."""
    if ends is None or any(end is None for end in ends):
        return UNKNOWN
    return "[" + ", ".join(_minus(f"{100 * end:.1f}") for end in ends if end is not None) + "]"


def points(difference: float | None) -> str:
    """A difference of shares in percentage points, signed: ``+7.8``."""
    return UNKNOWN if difference is None else _minus(f"{100 * difference:+.1f}")


def count(value: float | None) -> str:
    """A whole number with separators: ``128,000``; a mean over seeds is rounded to one."""
    return UNKNOWN if value is None else f"{round(value):,}"


def number(value: float | None) -> str:
    """Any other number, four significant digits, without the padding of exponents: ``3e-4``."""
    if value is None:
        return UNKNOWN
    mantissa, mark, exponent = f"{value:.4g}".partition("e")
    return _minus(f"{mantissa}e{int(exponent)}" if mark else mantissa)


def flops(value: float | None) -> str:
    """Floating-point operations with a unit: ``1.23 PFLOP``."""
    if value is None:
        return UNKNOWN
    scale = 0
    while value >= 999.5 and scale < len(FLOP_UNITS) - 1:
        value, scale = value / 1000, scale + 1
    return f"{value:.3g} {FLOP_UNITS[scale]}"


def duration(seconds: float | None) -> str:
    """A time: ``42.1 s``, ``4 min 05 s``, ``1 h 12 min``."""
    if seconds is None:
        return UNKNOWN
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    if seconds < 3599.5:
        return f"{round(seconds) // 60} min {round(seconds) % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def tick(value: float) -> str:
    """A number on an axis: ``128k``, ``1000``, ``0.25``."""
    for least, size, unit in ((1e12, 1e12, "T"), (1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if abs(value) >= least:
            return number(value / size) + unit
    return number(value)


def percent_tick(value: float) -> str:
    """A share on an axis: ``12.5%``."""
    return f"{number(100 * value)}%"


def text(value: str) -> str:
    """Model output made fit for a page: control characters and broken code points become visible signs."""
    return "".join(map(_visible, value))


def words(value: object) -> str:
    """A setting from a file in words: a part such as ``{"centred": {}}`` by its name."""
    if value is None:
        return UNKNOWN
    if isinstance(value, dict):
        return ", ".join(str(key) if not inner else f"{key} {words(inner)}" for key, inner in value.items())
    return number(value) if isinstance(value, float) else str(value)


def _visible(character: str) -> str:
    code = ord(character)
    if code < 0x20 and character not in "\n\t":
        return chr(0x2400 + code)
    broken = 0x7F <= code < 0xA0 or 0xD800 <= code < 0xE000 or code in (0xFFFE, 0xFFFF)
    return "\N{REPLACEMENT CHARACTER}" if broken else character


def _minus(written: str) -> str:
    """A real minus sign, and no sign before a zero."""
    if float(written) == 0:
        return written.lstrip("+-")
    return MINUS + written[1:] if written.startswith("-") else written


def signed_tick(value: float) -> str:
    """A difference of shares on an axis, in points: ``+5``."""
    return _minus(f"{100 * value:+.4g}")
