"""The currencies of ISO 4217 and the digits of their minor units.

Source: list one (current currencies and funds) of the standard's maintenance agency SIX, as published on 2026-01-01.
The rule: a code and its digits are as the standard has them, whatever a payment company makes of them.
"""

from __future__ import annotations

from typing import Final

# Codes by digits after the point; None: the standard gives none (metals, funds, testing, no currency at all).
CODES: Final[dict[int | None, str]] = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE "
        "CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD "
        "HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK "
        "MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD "
        "RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH "
        "USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
    None: "XAG XAU XBA XBB XBC XBD XDR XPD XPT XSU XTS XUA XXX",
}
# What a payment can be in: those with a minor unit, and its digits.
DIGITS: Final[dict[str, int]] = {
    code: digits for digits, codes in CODES.items() if digits is not None for code in codes.split()
}


def minor_digits(currency: str) -> int:
    """The digits of a currency's minor unit; two for what the table does not have, as 0.1 read every amount."""
    return DIGITS.get(currency, 2)
