"""Money: integer minor units of one ISO 4217 currency. Amounts of different currencies never mix."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation, Overflow

from pydantic import BaseModel, ConfigDict, Field

from domain.shared.errors import InvalidCommand

# ISO 4217 "minor unit" column where it is not 2.
_WITHOUT_PLACES = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
_WITH_THREE_PLACES = "BHD IQD JOD KWD LYD OMR TND"
_EXPONENTS = {**dict.fromkeys(_WITHOUT_PLACES.split(), 0), **dict.fromkeys(_WITH_THREE_PLACES.split(), 3)}

# Larger amounts are nobody's money, and a short text such as 1e999999 must not become a number of a million digits.
_MOST_DIGITS = 18


def exponent_of(currency: str) -> int:
    """Number of decimal places that ``currency`` is written with."""
    return _EXPONENTS.get(currency, 2)


class Money(BaseModel):
    """An exact amount; ``minor`` counts the smallest unit of ``currency`` (345.00 EUR is 34500)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    minor: int
    currency: str = Field(pattern=r"^[A-Z]{3}$")

    @classmethod
    def zero(cls, currency: str) -> Money:
        """Nothing, in ``currency``."""
        return cls(minor=0, currency=currency)

    @classmethod
    def parse(cls, amount: str, currency: str) -> Money:
        """Read a decimal string such as ``"345.00"``; raises InvalidCommand on anything but an exact amount."""
        try:
            scaled = Decimal(amount).scaleb(exponent_of(currency))
        except (InvalidOperation, Overflow) as error:
            raise InvalidCommand(f"{amount[:40]!r} is not a decimal amount") from error
        if not scaled.is_finite() or scaled.adjusted() >= _MOST_DIGITS or scaled != scaled.to_integral_value():
            raise InvalidCommand(f"{amount[:40]!r} is not an exact amount in {currency}")
        return cls(minor=int(scaled), currency=currency)

    @property
    def amount(self) -> str:
        """The decimal string of the contract, ``"345.00"``."""
        return str(Decimal(self.minor).scaleb(-exponent_of(self.currency)))

    def __add__(self, other: Money) -> Money:
        return Money(minor=self.minor + self._same(other).minor, currency=self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(minor=self.minor - self._same(other).minor, currency=self.currency)

    def times(self, factor: int) -> Money:
        """The amount ``factor`` times over."""
        return Money(minor=self.minor * factor, currency=self.currency)

    def percent(self, percent: int) -> Money:
        """``percent`` hundredths of the amount, halves rounded away from zero."""
        quotient, rest = divmod(abs(self.minor) * percent, 100)
        rounded = quotient + (1 if rest * 2 >= 100 else 0)  # noqa: PLR2004 - half of a hundred
        return Money(minor=rounded if self.minor >= 0 else -rounded, currency=self.currency)

    def _same(self, other: Money) -> Money:
        if other.currency != self.currency:
            raise InvalidCommand(f"{other.currency} cannot be combined with {self.currency}")
        return other


def total(amounts: tuple[Money, ...]) -> Money:
    """Sum of one or more amounts of one currency."""
    first, *rest = amounts
    for amount in rest:
        first = first + amount
    return first
