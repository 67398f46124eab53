"""The reference: log and metric lines as Powertools for AWS Lambda writes them."""

from __future__ import annotations

from typing import TextIO

from aws_lambda_powertools import Logger, Metrics


def create_logger(service: str, stream: TextIO | None = None) -> Logger:
    """A logger of JSON lines with `service` in each, on `stream`, else standard output.

    Raises Powertools' and logging's ValueErrors for a level or a sampling rate that is none.
    """
    return Logger(service=service, stream=stream)


def create_metrics(namespace: str, service: str, environment: str) -> Metrics:
    """Metrics in CloudWatch's embedded metric format, one line on standard output a flush."""
    metrics = Metrics(namespace=namespace, service=service)
    metrics.set_default_dimensions(environment=environment)
    return metrics
