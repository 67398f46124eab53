"""What the functions, alarms, schedule and table of one environment are called, for the scripts that work on them.

The rule it keeps: Terraform says it, by its output `names`. Without that there is no prefix: in the local system, and
in what was applied before there could be one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final, NamedTuple

#: The alarms that tell of a function's code, by its role.
ALARMS: Final[Mapping[str, tuple[str, ...]]] = {
    "queue": ("errors", "throttles", "duration-p99", "failed-starts", "payment-alarms"),
    "workflow": ("execution-failed", "execution-timed-out"),
    "page": ("page-errors",),
    "reconcile": ("reconcile-errors",),
}


class Names(NamedTuple):
    """`functions` by role; `alarms` by what they tell."""

    functions: Mapping[str, str]
    alarms: Mapping[str, str]
    schedule: str
    table: str

    def alarms_of(self, role: str) -> list[str]:
        return [self.alarms[alarm] for alarm in ALARMS[role]]


def names_of(environment: str, outputs: str = "") -> Names:
    """`outputs` is what `terraform output -json` said of the environment; empty where there is no Terraform.

    Raises ValueError where it is something else.
    """
    made = json.loads(outputs or "{}").get("names")
    if made is not None:
        return Names(**made["value"])
    queue, workflow = f"cloudcafe-payment-processor-{environment}", f"payment-processor-{environment}"
    functions = {"queue": queue, "workflow": workflow}
    functions |= {role: f"{workflow}-{role}" for role in ("page", "reconcile")}
    alarms = {
        alarm: f"{queue if role == 'queue' else workflow}-{alarm}" for role, each in ALARMS.items() for alarm in each
    }
    return Names(functions, alarms, functions["reconcile"], f"cloudcafe-payment-transactions-{environment}")
