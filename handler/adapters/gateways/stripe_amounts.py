"""Amounts as Stripe counts them, both ways, exactly: what cannot be said in its units is refused and never rounded.

Source: docs.stripe.com/currencies ("Supported presentment currencies", "Zero-decimal currencies", "Three-decimal
currencies", "Special cases"), by three copies of it, the last of 2026-09-20. Elsewhere Stripe's smallest unit is ISO
4217's minor unit.
"""

from __future__ import annotations

from typing import Final

from handler.domain.errors import GatewayAnswerError, GatewayRefusedError

# Without ANG, BGN and STD, which earlier copies list and ISO 4217 has no more. The last copy lacks ALL, SOS and TOP,
# which the others have; those of three digits are listed to accounts of some countries alone. Whatever an account does
# not take, Stripe itself refuses before any charge.
_LISTED: Final = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF CLP CNY "
    "COP CRC CVE CZK DJF DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR "
    "ISK JMD JOD JPY KES KGS KHR KMF KRW KWD KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MUR MVR MWK "
    "MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SEK SGD "
    "SHP SLE SOS SRD SZL THB TJS TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VND VUV WST XAF XCD XCG XOF XPF YER "
    "ZAR ZMW"
)
CURRENCIES: Final = frozenset(_LISTED.split())
# One of our minor units is so many of Stripe's, as numerator and denominator.
_UNITS: Final = {
    "MGA": (1, 100),  # two digits by ISO, none at Stripe
    "ISK": (100, 1),  # none by ISO; Stripe still wants two, which are 00
    "UGX": (100, 1),
}
# Three digits, of which Stripe's partners take no last one but 0 ("Three-decimal currencies", in 2023).
_TENS: Final = frozenset(("BHD", "JOD", "KWD", "OMR", "TND"))


def to_stripe(amount_minor: int, currency: str) -> int:
    """An amount of ISO 4217's minor units in Stripe's. Raises GatewayRefusedError where it cannot be said exactly."""
    numerator, denominator = _UNITS.get(currency, (1, 1))
    amount, rest = divmod(amount_minor * numerator, denominator)
    if currency not in CURRENCIES or rest or (currency in _TENS and amount % 10):
        raise GatewayRefusedError(
            f"Stripe cannot charge {amount_minor} minor units of {currency} exactly", "amount_not_exact", is_final=True
        )
    return amount


def from_stripe(amount: int, currency: str) -> int:
    """An amount of Stripe's in ISO 4217's minor units. Raises GatewayAnswerError where there is no such amount."""
    numerator, denominator = _UNITS.get(currency, (1, 1))
    amount_minor, rest = divmod(amount * denominator, numerator)
    if rest:
        raise GatewayAnswerError(f"Stripe answered for {amount} of {currency}, which is no whole minor unit")
    return amount_minor
