"""The support that is ours: nothing is imported that the runtime has not imported already."""

from handler.adapters.support.lean.clients import create_clients as create_clients
from handler.adapters.support.lean.telemetry import create_logger as create_logger
from handler.adapters.support.lean.telemetry import create_metrics as create_metrics
