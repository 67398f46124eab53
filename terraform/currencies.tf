# ISO 4217's currencies with a minor unit, by its digits: those of handler/domain/currencies.py, which a test compares.
# Source: list one of the standard's maintenance agency SIX, as published on 2026-01-01. And those that a gateway lists,
# by its name, as in handler/adapters/gateways/stripe_amounts.py; one without a list here takes all.

locals {
  currencies_by_digits = {
    "0" = [
      "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    ]
    "2" = [
      "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF",
      "CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL",
      "HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU",
      "MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR",
      "SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED",
      "VES WST XAD XCD XCG YER ZAR ZMW ZWG",
    ]
    "3" = [
      "BHD IQD JOD KWD LYD OMR TND",
    ]
    "4" = [
      "CLF UYW",
    ]
  }

  gateway_currencies = {
    stripe = split(" ", join(" ", [
      "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF CLP",
      "CNY COP CRC CVE CZK DJF DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR",
      "ILS INR ISK JMD JOD JPY KES KGS KHR KMF KRW KWD KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP",
      "MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR",
      "SBD SCR SEK SGD SHP SLE SOS SRD SZL THB TJS TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VND VUV WST XAF",
      "XCD XCG XOF XPF YER ZAR ZMW",
    ]))
  }

  currency_digits = merge([for digits, codes in local.currencies_by_digits : {
    for code in split(" ", join(" ", codes)) : code => tonumber(digits)
  }]...)
}
