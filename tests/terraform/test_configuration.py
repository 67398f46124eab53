"""The configuration as text and as plans, without any AWS: formatted, valid, refusing what it must, explained.

Held here: every rule of a variable is broken by a native test and comes with its own message; no policy has a wildcard
action; whatever checkov finds is fixed or has a reason in place.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from local.installation import ROOT, environment
from local.resources import RECEIVE_COUNT_MAX
from local.terraform import SOURCE
from tests.terraform.installation import Terraform

Bar = Callable[[str, str, str, bool], None]
CONFIGURATION = sorted(path for path in SOURCE.rglob("*.tf") if ".terraform" not in path.parts)
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text()
REFUSED = (SOURCE / "tests" / "refused.tftest.hcl").read_text()


def test_files_are_formatted() -> None:
    done = subprocess.run(
        ["terraform", "fmt", "-check", "-recursive", "-diff", str(SOURCE)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"run `terraform fmt -recursive terraform`:\n{done.stdout}{done.stderr}"


def test_the_root_is_valid_and_warns_of_nothing(terraform: Terraform) -> None:
    found = json.loads(terraform.run("validate", "-json"))
    assert found["diagnostics"] == []


def test_native_tests_pass(terraform: Terraform) -> None:
    printed = terraform.run("test", expect=None)
    assert re.search(r"Success! [0-9]+ passed, 0 failed\.", printed), printed


def test_every_rule_is_refused_with_its_message(terraform: Terraform) -> None:
    # Rules read variables and files only. Without the resources beside them no provider is loaded, 5 s a plan.
    rules = terraform.inside("rules")
    for file in ("variables.tf", "currencies.tf"):
        (rules.folder / file).write_text((SOURCE / file).read_text())
    rules.run("init", "-input=false")
    printed = ""
    for variables in refusals(of_a_module=False):
        (rules.folder / "refused.tfvars").write_text(variables)
        printed += rules.run("plan", "-json", "-var-file=refused.tfvars", expect=1)
    packages = terraform.inside("packages")
    (packages.folder / "main.tf").write_text(
        "".join(
            f'module "package_{number}" {{\n  source = "../modules/deployment_package"\n{variables}}}\n'
            for number, variables in enumerate(refusals(of_a_module=True))
        ).replace('"tests/', '"../tests/')
    )
    packages.run("init", "-input=false")
    printed += packages.run("plan", "-json", expect=1)

    said = [line["diagnostic"]["detail"] for line in map(json.loads, printed.splitlines()) if "diagnostic" in line]
    text = (SOURCE / "variables.tf").read_text() + (SOURCE / "modules/deployment_package/outputs.tf").read_text()
    messages = re.findall(r'error_message = "((?:[^"\\]|\\.|\$\{.*?\})*)"\n', text)
    for message in messages:
        # What stands between interpolations, in this order; interpolations may hold quotes themselves.
        parts = re.split(r"\$\{[^}]*\}", message.replace('\\"', '"'))
        pattern = re.compile(".*".join(map(re.escape, parts)), re.DOTALL)
        assert any(pattern.match(detail) for detail in said), f"no test has seen: {message}"
    assert text.count("error_message") == len(messages)


def refusals(*, of_a_module: bool) -> list[str]:
    """The variables, as text, of every run in the file of refusals: of runs of the root, or of the package's module."""
    found = []
    for name, body in re.findall(r'^run "(\w+)" \{\n(.*?)^\}', REFUSED, re.DOTALL | re.MULTILINE):
        variables = re.search(r"^  variables \{\n(.*?)^  \}", body, re.DOTALL | re.MULTILINE)
        assert variables, name
        if bool(re.search(r"^  module \{", body, re.MULTILINE)) == of_a_module:
            found.append(variables.group(1))
    assert found
    return found


def test_variables_that_can_hold_a_wrong_value_have_rules(bar: Bar) -> None:
    blocks = re.findall(
        r'^variable "(\w+)" \{\n(.*?)^\}', (SOURCE / "variables.tf").read_text(), re.DOTALL | re.MULTILINE
    )
    can_be_wrong = [name for name, body in blocks if not re.search(r"type += bool\b", body)]
    without = [name for name, body in blocks if name in can_be_wrong and "validation {" not in body]
    share = 1 - len(without) / len(can_be_wrong)
    bar("terraform_validated_variables", f"{share:.0%}", "80%", share >= 0.8)
    assert without == []


def test_the_variable_file_of_dev_holds_defaults_only() -> None:
    # `terraform apply` alone loads no file and must mean the same system as `make apply`.
    text = (SOURCE / "variables.tf").read_text()
    for name, value in re.findall(r"^(\w+) += (.*)$", (SOURCE / "environments/dev.tfvars").read_text(), re.MULTILINE):
        default = re.search(rf'^variable "{name}" \{{\n(?:  .*\n)*?  default +=(.*)$', text, re.MULTILINE)
        assert default, name
        assert default.group(1).strip() == value


def test_the_receives_before_a_dead_letter_are_the_protocols_everywhere() -> None:
    protocol = re.search(r"^\| receives before dead-lettering \| ([0-9,]+) \|", PROTOCOL, re.MULTILINE)
    default = re.search(
        r'^variable "max_receive_count" \{\n(?:  .*\n)*?  default += ([0-9]+)$',
        (SOURCE / "variables.tf").read_text(),
        re.MULTILINE,
    )
    assert protocol
    assert default
    # SQS's largest, so that nothing behind a failing message becomes a dead letter untried.
    assert int(protocol.group(1).replace(",", "")) == int(default.group(1)) == RECEIVE_COUNT_MAX == 1000


def test_every_variable_and_output_is_described() -> None:
    for path in CONFIGURATION:
        for kind, name, body in re.findall(
            r'^(variable|output) "(\w+)" \{\n(.*?)^\}', path.read_text(), re.DOTALL | re.MULTILINE
        ):
            assert re.search(r'description += ".+\."', body), f"{kind} {name} in {path.relative_to(ROOT)}"


def test_no_policy_has_a_wildcard_action() -> None:
    lists = [
        (path, found)
        for path in CONFIGURATION
        for found in re.findall(r"\bactions\s+= (?:concat\()?\[(.*?)\]", path.read_text(), re.DOTALL)
    ]
    assert len(lists) > 10
    for path, found in lists:
        assert "*" not in found, f"{path.relative_to(ROOT)}: {found}"


def test_checkov_finds_nothing_that_is_not_explained(bar: Bar) -> None:
    for path in CONFIGURATION:
        for line in re.findall(r"checkov:skip=.*", path.read_text()):
            assert re.fullmatch(r"checkov:skip=CKV2?_AWS_[0-9]+:.{8,}", line), f"{path.relative_to(ROOT)}: {line}"
    command = [str(environment("checkov") / "checkov"), "--directory", str(SOURCE), "--framework", "terraform"]
    done = subprocess.run(
        [*command, "--skip-download", "--output", "json"], capture_output=True, text=True, check=False
    )
    report = json.loads(done.stdout)
    failed = [
        f"{each['check_id']} {each['resource']}: {each['check_name']}" for each in report["results"]["failed_checks"]
    ]
    bar("terraform_unexplained_findings", str(len(failed)), "0", not failed)
    assert failed == []
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["passed"] > 100


def test_every_module_with_resources_is_destroyed_after_the_guard() -> None:
    text = "".join(path.read_text() for path in SOURCE.glob("*.tf"))
    modules = dict(re.findall(r'^module "(\w+)" \{\n  source += "\./(.*)"$', text, re.MULTILINE))
    content = {name: "".join(path.read_text() for path in (SOURCE / at).glob("*.tf")) for name, at in modules.items()}
    having_resources = {name for name, tf in content.items() if re.search(r"^(resource|module) ", tf, re.MULTILINE)}
    guard = re.search(
        r'^resource "aws_dynamodb_table" "deletion_guard" \{\n.*?depends_on = \[(.*?)\]', text, re.DOTALL | re.MULTILINE
    )
    assert guard
    assert len(having_resources) == 11
    assert set(re.findall(r"module\.(\w+)", guard.group(1))) == having_resources
    # Nothing stands beside the modules that it would have to name too.
    assert re.findall(r'^resource "(.*)" "(.*)" \{$', text, re.MULTILINE) == [("aws_dynamodb_table", "deletion_guard")]


def test_the_lock_file_serves_every_platform() -> None:
    lock = (SOURCE / ".terraform.lock.hcl").read_text()
    assert re.findall(r'^provider "(.*)"', lock, re.MULTILINE) == ["registry.terraform.io/hashicorp/aws"]
    # The registry's sums of all its archives, one a platform, and its two own files.
    assert len(re.findall(r'"zh:[0-9a-f]{64}"', lock)) == 15
    constraints = {
        found for path in CONFIGURATION for found in re.findall(r'^ +version += "(.*)"', path.read_text(), re.MULTILINE)
    }
    assert constraints == set(re.findall(r'constraints = "(.*)"', lock))
    for example in (SOURCE / "examples").iterdir():
        assert (example / ".terraform.lock.hcl").read_text() == lock


def test_an_unknown_region_is_refused_with_what_to_do() -> None:
    # China and GovCloud have Lambda, but are other partitions.
    for region, code in (("mars-1", 1), ("cn-north-1", 1), ("us-gov-west-1", 1), ("eu-central-1", 0)):
        done = subprocess.run(
            [sys.executable, str(SOURCE / "region.py")],
            env={"PATH": os.environ["PATH"], "AWS_REGION": region},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr
        assert code == 0 or (f"AWS_REGION is {region}" in done.stderr and "export AWS_REGION=us-east-1" in done.stderr)


def test_the_published_thousand_payments_are_sent_by_a_process_for_ten_one_after_another(tmp_path: Path) -> None:
    text = (SOURCE / "outputs.tf").read_text()
    loop = re.search(r"^    # A thousand.*?\n(.*?)\n\n", text, re.DOTALL | re.MULTILINE)
    assert loop
    # As Terraform prints it.
    printed = re.sub(r"(?<!\$)\$\{[^}]*\}", "known", loop.group(1)).replace("$${", "${")
    (tmp_path / "aws").write_text("#!/bin/bash\nprintf '%s\\0' \"$@\"\nprintf '\\n'\n")
    (tmp_path / "aws").chmod(0o755)
    done = subprocess.run(
        ["bash", "-euc", printed],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    calls = [line.split("\0") for line in done.stdout.splitlines()]
    batches = [json.loads(call[call.index("--entries") + 1]) for call in calls]
    assert {(len(batch), *call[:2]) for batch, call in zip(batches, calls, strict=True)} == {
        (10, "sqs", "send-message-batch")
    }
    bodies = [json.loads(entry["MessageBody"]) for batch in batches for entry in batch]
    assert [body["payment_id"] for body in bodies] == [f"load-{number}" for number in range(1, 1001)]
    assert len({entry["MessageGroupId"] for batch in batches for entry in batch}) == 50
    assert "&" not in printed
