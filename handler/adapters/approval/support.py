"""What the workflow, its page and reconcile stand on: boto3's clients, and Powertools' log lines, metrics and traces.

The rule it keeps: no event and no answer is in a line or a trace, whatever Powertools' variables say: the form of the
page has its token in it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import boto3
from aws_lambda_powertools.logging.utils import copy_config_to_registered_loggers
from aws_lambda_powertools.shared.functions import strtobool

from handler.adapters.support import standard
from handler.domain.errors import ConfigurationError

Handler = Callable[[Any, Any], Any]
create_logger = standard.create_logger
create_metrics = standard.create_metrics


def observe(service: str, environment: Mapping[str, str]) -> Callable[[Handler], Handler]:
    """Make every logger of ours write Powertools' lines; returns what wraps the handler that Lambda calls.

    A line then names its invocation. With POWERTOOLS_TRACE_DISABLED=false each invocation and each call of AWS in it is
    a subsegment of X-Ray's. Raises ConfigurationError where the variable is no truth value.
    """
    is_traced = _is_traced(environment)
    logger = create_logger(service)
    # Only what is registered is copied to, and its children write through it.
    logging.getLogger("handler")
    copy_config_to_registered_loggers(logger, include={"handler"})

    def wrap(handler: Handler) -> Handler:
        # Powertools names a handler by its __name__, which an object has not.
        def lambda_handler(event: Any, context: Any) -> Any:
            return handler(event, context)

        logged: Handler = logger.inject_lambda_context(lambda_handler, log_event=False)
        return _traced(logged, service) if is_traced else logged

    return wrap


def create_clients(region: str, ca_file: str | None) -> Callable[[str], Any]:
    """As those of `standard`, which says what is raised, but made by boto3."""
    return standard.create_clients(
        region, ca_file, maker=lambda session: boto3.Session(botocore_session=session, region_name=region).client
    )


def _is_traced(environment: Mapping[str, str]) -> bool:
    """Off where Powertools would trace unasked: X-Ray's SDK takes 145 CPU-ms to import, the workflow itself 220."""
    said = environment.get("POWERTOOLS_TRACE_DISABLED") or "true"
    try:
        return not strtobool(said)
    except ValueError as error:
        raise ConfigurationError("POWERTOOLS_TRACE_DISABLED", said, "true or false") from error


def _traced(handler: Handler, service: str) -> Handler:
    from aws_lambda_powertools import Tracer

    # Of the other modules that it can patch, http.client would put the gateway's URLs into traces.
    tracer = Tracer(service=service, patch_modules=("botocore",))
    return tracer.capture_lambda_handler(handler, capture_response=False)
