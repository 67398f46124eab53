"""The payment gateways by their names in `GATEWAY`, and which of them a deployment gets.

The rule it keeps: a gateway is imported once it is chosen, so that no cold start pays for another one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from handler.adapters.system import AnyLogger
from handler.domain.errors import ConfigurationError, GatewayNotReachedError
from handler.domain.ports import ListingGateway
from handler.domain.rules import PRODUCTION
from handler.domain.typed import NamedTuple

# What init waits for a gateway that is silent: each payment has its own deadline, and none needs this.
_CONNECT_SECONDS: Final = 1.0


class Deployment(NamedTuple):
    """Where the gateway is to work, and what its adapter is made from; a text that was not given is empty."""

    name: str
    url: str
    deadline_seconds: float
    mode: str
    secret_arn: str
    # The secret with the gateway's key, read anew at each call; None where none is named.
    read_secret: Callable[[], str] | None
    # Those that payments are taken in, the deployment's own first.
    currencies: Sequence[str]
    canonical_version: int
    environment: str
    in_lambda: bool
    in_memory: bool
    # What the card networks are told of payments that do not say it themselves.
    off_session: bool = True
    # The roots that its host is trusted by, where the deployment has its own.
    ca_file: str = ""
    # Takes a line for each call that the gateway answered.
    logger: AnyLogger = logging.getLogger(__name__)
    # A connection is opened at once: name look-up and TLS are then no matter of the first payment's.
    connects: bool = False


def choose(deployment: Deployment) -> ListingGateway:
    """The gateway of a deployment. Raises ConfigurationError where it names none and must, or names a wrong one."""
    name = deployment.name or "simulated"
    if name == "simulated":
        _may_be_simulated(deployment)
    if name not in HAVE_KEYS:
        # Whoever gives these means a gateway that checks them: one without would charge by no key and in any mode.
        for variable, value in (("GATEWAY_MODE", deployment.mode), ("GATEWAY_SECRET_ARN", deployment.secret_arn)):
            if value:
                allowed = f"no value, as GATEWAY is {name}, which has no key and no modes, or GATEWAY={HAVE_KEYS[0]}"
                raise ConfigurationError(variable, value, allowed)
    return GATEWAYS[name](deployment)


def _may_be_simulated(deployment: Deployment) -> None:
    # It records payments as completed while no money moves: outside `dev` somebody has to want that.
    environment = deployment.environment
    if environment in PRODUCTION:
        raise ConfigurationError(
            "GATEWAY", deployment.name or None, f"{_REAL}, with its settings, in environment {environment}"
        )
    # A function that lost its variables must not fall into it.
    falls_into_it = deployment.in_lambda or not (environment == "dev" or deployment.in_memory)
    if falls_into_it and not deployment.name:
        where = "in Lambda" if deployment.in_lambda else f"in environment {environment}"
        raise ConfigurationError(
            "GATEWAY", None, f"{_REAL}, with its settings, or simulated, which approves everything, {where}"
        )


def _simulated(deployment: Deployment) -> ListingGateway:
    if deployment.url:
        raise ConfigurationError("GATEWAY", deployment.name or None, f"{_REAL}, as GATEWAY_URL is set")
    if deployment.ca_file:
        raise ConfigurationError("GATEWAY_CA_FILE", deployment.ca_file, "no value, as GATEWAY is simulated")
    from handler.adapters.gateways.simulated import SimulatedGateway

    return SimulatedGateway()


def _stripe(deployment: Deployment) -> ListingGateway:
    from handler.adapters.gateways.stripe import ROOTS, URL, StripeGateway
    from handler.adapters.gateways.stripe_amounts import CURRENCIES

    for place, currency in enumerate(deployment.currencies):
        if currency not in CURRENCIES:
            variable = "OTHER_CURRENCIES" if place else "PAYMENT_CURRENCY"
            raise ConfigurationError(variable, currency, "the currencies that Stripe lists, as GATEWAY is stripe")
    if deployment.canonical_version < 2:
        raise ConfigurationError(
            "CANONICAL_VERSION_WRITTEN",
            str(deployment.canonical_version),
            "2, as GATEWAY is stripe: version 1 knows no payment_token",
        )
    if deployment.mode not in ("test", "live"):
        raise ConfigurationError("GATEWAY_MODE", None, "test | live, as GATEWAY is stripe")
    if deployment.read_secret is None:
        raise ConfigurationError("GATEWAY_SECRET_ARN", None, "the secret that holds Stripe's key, as GATEWAY is stripe")
    gateway = StripeGateway(
        deployment.read_secret,
        mode="live" if deployment.mode == "live" else "test",
        environment=deployment.environment,
        url=deployment.url or URL,
        deadline_seconds=deployment.deadline_seconds,
        # A stand-in's host is signed by anybody.
        ca_file=deployment.ca_file or ("" if deployment.url else ROOTS),
        off_session=deployment.off_session,
        logger=deployment.logger,
    )
    if deployment.connects:
        try:
            gateway.connection.connect(_CONNECT_SECONDS)
        except GatewayNotReachedError as error:
            deployment.logger.warning("not reached in init: %s", error)
    return gateway


GATEWAYS: Final[Mapping[str, Callable[[Deployment], ListingGateway]]] = {
    "simulated": _simulated,
    "stripe": _stripe,
}
# Those that have a key, and with it a mode.
HAVE_KEYS: Final = ("stripe",)
# Those that charge an instrument which the message must name.
CHARGES_INSTRUMENTS: Final = ("stripe",)
_REAL: Final = " | ".join(name for name in GATEWAYS if name != "simulated")
