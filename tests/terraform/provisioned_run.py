"""A run on what Terraform makes, looked at before its services end."""

import json
from pathlib import Path
from typing import Any

import pytest

from local import run, stream
from local.system import LocalSystem
from local.terraform import SOURCE
from tests.terraform.installation import changes, plan


class ProvisionedRun:
    """`python -m local run --provision terraform` from start to end; what it left is in the attributes."""

    def __init__(self, folder: Path) -> None:
        """Run it to its end, which takes a minute or two, most of it for the provider's own delays."""
        self.figures: dict[str, Any] = {}
        self.changes: dict[str, Any] = {}
        self.queue: dict[str, str] = {}
        self.function: dict[str, Any] = {}
        self.mappings: list[dict[str, Any]] = []
        checkout = files(SOURCE)
        figures = folder / "run.json"
        faults = "charge.timeout_after,charge.error_503,killed_before_record,throttled_record"
        arguments = ["--payments", "30", "--groups", "5", "--seed", "7", "--faults", faults]
        wait = stream.wait

        def wait_then_look(system: LocalSystem, *rest: object, **more: object) -> None:
            wait(system, *rest, **more)  # type: ignore[arg-type]
            self._look(system)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stream, "wait", wait_then_look)
            self.code = run.main([*arguments, "--provision", "terraform", "--json", str(figures)])
        if figures.exists():
            self.figures = json.loads(figures.read_text())
        self.new_in_checkout = files(SOURCE) - checkout

    def _look(self, system: LocalSystem) -> None:
        assert system.terraform is not None
        self.changes = changes(plan(system.terraform))
        sqs, functions = system.clients["sqs"], system.clients["lambda"]
        attributes = sqs.get_queue_attributes(QueueUrl=system.resources.queue_url, AttributeNames=["All"])
        self.queue = attributes["Attributes"]
        self.function = functions.get_function_configuration(FunctionName=system.names.function, Qualifier="live")
        self.mappings = [
            each
            for page in functions.get_paginator("list_event_source_mappings").paginate()
            for each in page["EventSourceMappings"]
        ]


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if ".terraform" not in path.parts}
