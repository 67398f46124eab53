"""The workflow's code as waiting executions need it: each released step's name, only control flow between steps."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import handler.workflow
from handler.workflow import STEPS, execution_of

ROOT = Path(__file__).parents[4]

# The step names of each release. One that is renamed or gone breaks every execution that waits: a release adds its
# own list, and an old one goes only when no execution of that release can still be between its steps.
RELEASED_STEPS = {
    "0.1": (
        "validate",
        "checks",
        "fraud-check",
        "customer-verification",
        "begin",
        "approval",
        "resolve",
        "charge",
        "notify",
    ),
    "0.3": (
        "validate",
        "checks",
        "fraud-check",
        "customer-verification",
        "begin",
        "approval",
        "resolve",
        "charge",
        "notify",
    ),
}


@pytest.mark.parametrize("release", RELEASED_STEPS)
def test_no_step_of_a_release_is_renamed(release):
    assert set(RELEASED_STEPS[release]) <= set(STEPS)


def test_the_release_that_the_project_names_has_its_steps_listed():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert version.rpartition(".")[0] in RELEASED_STEPS


# What the control flow between steps may call. Everything else belongs in a step's body, a lambda or nested function.
DETERMINISTIC = {
    "execution_of",
    "_numbered",
    "_assessment",
    "Next",
    "Checks",
    "ParallelBranch",
    "StepConfig",
    "WaitForCallbackConfig",
    "partial",
    "asdict",
    "context.step",
    "context.parallel",
    "context.wait_for_callback",
    "context.state.get_input_payload",
    "branch.step",
    "found.throw_if_error",
    "found.get_results",
    "Duration.from_seconds",
    "self._persistent",
    "self._fraud_retries",
    "self._check",
    "self._wait",
    "self._next",
}

CONTROL_FLOW = ("run", "_check", "_wait", "_next")


def calls_outside_steps(source: str) -> set[str]:
    """Names of calls in the control flow's own statements, those of step bodies (lambdas) left out."""
    (workflow,) = (
        node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == "Workflow"
    )
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.Lambda):
            return
        if isinstance(node, ast.Call):
            found.add(ast.unparse(node.func))
        for child in ast.iter_child_nodes(node):
            visit(child)

    for method in workflow.body:
        if isinstance(method, ast.FunctionDef) and method.name in CONTROL_FLOW:
            for statement in method.body:
                visit(statement)
    return found


def test_nothing_but_control_flow_stands_outside_steps():
    source = Path(handler.workflow.__file__).read_text()
    assert calls_outside_steps(source) <= DETERMINISTIC
    planted = source.replace("rounds = 0", "rounds = time.time()")
    assert "time.time" in calls_outside_steps(planted) - DETERMINISTIC


def test_the_name_of_an_execution_is_in_its_arn():
    arn = "arn:aws:lambda:us-east-1:123456789012:function:payment-processor-dev:7/durable-execution/dev-pay-1-1/4f2a"
    assert execution_of(arn).name == "dev-pay-1-1"
    assert execution_of("4fda3870-1f16-4c1f-9504-bd736b6b528b/inv-1").name == ""


def test_the_queue_function_never_imports_the_sdk_nor_the_workflow():
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import handler, json, sys; handler.lambda_handler; print(json.dumps(sorted(sys.modules)))",
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "APPROVAL_FUNCTION_ARN": "payment-processor-dev:live"},
    )
    loaded = json.loads(done.stdout.splitlines()[-1])
    wrong = ("aws_durable_execution_sdk_python", "boto3", "handler.workflow", "handler.domain.approval", "handler.cli")
    assert [name for name in loaded if name.startswith(wrong)] == []
