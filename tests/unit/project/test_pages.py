"""The pages that are made from the code: none has drifted, and each says all that there is."""

from __future__ import annotations

import re

import pytest

from handler import queue_function, reconcile_function
from handler.domain.item import Item
from tests.support.build_scripts import ROOT, load

pages = load("pages")


@pytest.mark.parametrize("name", pages.PAGES)
def test_a_page_says_what_the_code_says(name):
    assert (ROOT / "docs" / name).read_text() == pages.PAGES[name](), "run `make pages`"


def test_every_page_that_is_made_is_in_the_generator():
    marked = {path.name for path in (ROOT / "docs").glob("*.md") if pages.MADE in path.read_text()}
    assert marked == set(pages.PAGES)


@pytest.mark.parametrize("name", pages.PAGES)
def test_every_page_is_linked_from_the_readme(name):
    assert f"(docs/{name})" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("module", pages.MODULES, ids=lambda module: module.name)
def test_a_readme_of_terraform_says_what_its_files_say(module):
    made = pages.module_page(module)
    assert (module / "README.md").read_text() == made, "run `make pages`"
    files = "".join(path.read_text() for path in module.glob("*.tf"))
    named = re.findall(r'^(?:variable|output) "(\w+)"', files, re.MULTILINE)
    assert sorted(named) == sorted(re.findall(r"^\| `(\w+)` \| \S", made, re.MULTILINE))
    # Only outputs have no type.
    assert made.count("| none |") == len(re.findall(r'^variable "', files, re.MULTILINE)) - len(
        re.findall(r"^  default +=", files, re.MULTILINE)
    )


def test_every_module_of_terraform_has_a_readme_and_the_table_of_modules_links_it():
    table = (ROOT / "docs" / "terraform.md").read_text()
    linked = set(re.findall(r"\]\(\.\./terraform/modules/(\w+)/README\.md\)", table))
    assert linked == {path.parent.name for path in (ROOT / "terraform" / "modules").glob("*/main.tf")}
    assert "(terraform/README.md)" in (ROOT / "README.md").read_text()


def test_an_input_of_terraform_on_several_lines_is_told_on_one(tmp_path):
    (tmp_path / "main.tf").write_text("""# What it is for,
# in two lines.

variable "vpc" {
  description = "Say \\"where\\" | or not."
  type = object({
    # Sorted.
    subnet_ids = set(string)
    port       = optional(number, 443)
  })
  default = {
    subnet_ids = []
  }

  validation {
    condition     = true
    error_message = "Never."
  }
}
""")
    made = pages.module_page(tmp_path)
    assert "What it is for,\nin two lines." in made
    row = '| `vpc` | Say "where" \\| or not. | `object({ subnet_ids = set(string), port = optional(number, 443) })` |'
    assert f"{row} `{{ subnet_ids = [] }}` |" in made
    (tmp_path / "main.tf").write_text('# What.\n\nvariable "vpc" {\n  type = string\n}\n')
    with pytest.raises(ValueError, match="vpc has no description"):
        pages.module_page(tmp_path)


def test_every_attribute_of_the_item_has_a_meaning_and_a_write():
    meanings, kinds = pages.item_attributes()
    assert list(meanings) == list(kinds) == list(Item._fields)
    assert [name for name in Item._fields if not pages.written_by(name)] == []


def test_an_attribute_without_a_meaning_is_found(tmp_path, monkeypatch):
    source = (ROOT / "handler" / "domain" / "item.py").read_text()
    path = tmp_path / "handler" / "domain" / "item.py"
    path.parent.mkdir(parents=True)
    path.write_text(source.replace('    comment: str = ""\n', '    waits_for: int = 0\n    comment: str = ""\n', 1))
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    with pytest.raises(ValueError, match="waits_for"):
        pages.item_attributes()


def test_terraform_names_the_metrics_that_are_published():
    own = {*queue_function.METRICS, *reconcile_function.METRICS}
    dashboard = (ROOT / "terraform" / "modules" / "observability" / "dashboard.tf").read_text()
    [shown] = re.findall(r"for metric in \[(.*?)\] :\n +metric => \[local\.namespace", dashboard)
    assert set(re.findall(r'"(\w+)"', shown)) <= own
    judged = {alarm.metric for alarm in pages.read_alarms() if alarm.namespace == queue_function.NAMESPACE}
    of_reconcile = {reconcile_function.OLD, reconcile_function.PARKED, reconcile_function.UNSETTLED_REFUNDS}
    assert judged == {*of_reconcile, "Conflicts", "PaymentAlarms-<environment>"}
    waiting = reconcile_function.OPEN_METRICS["pending_approval"][1]
    alarms = (ROOT / "terraform" / "modules" / "approval_workflow" / "alarms.tf").read_text()
    assert f'metric = "{waiting}", dimensions = {{ environment = var.environment }}' in alarms
    assert reconcile_function.NAMESPACE == queue_function.NAMESPACE


def test_an_alarm_in_another_layout_is_not_left_out_silently(tmp_path, monkeypatch):
    path = tmp_path / "terraform" / "modules" / "observability" / "main.tf"
    path.parent.mkdir(parents=True)
    source = (ROOT / path.relative_to(tmp_path)).read_text()
    path.write_text(source.replace("    errors = {\n", "    errors = {\n      # A comment.\n", 1))
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    with pytest.raises(ValueError, match="another layout"):
        pages.read_alarms()


def test_every_alarm_names_a_page_of_the_runbook():
    runbook = set(re.findall(r"^## (.+)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE))
    named = set()
    for path in (ROOT / "terraform" / "modules").glob("*/*.tf"):
        text = path.read_text()
        for key in re.findall(r"Runbook: docs/runbook\.md#(\S+)\"", text):
            if key != "${each.key}":
                named.add(key)
                continue
            for block in re.findall(
                r"^  (?:alarms|sums|failures) += (?:merge\(|\{)\n(.*?)^  [})]", text, re.DOTALL | re.MULTILINE
            ):
                named |= set(re.findall(r"^ +([a-z0-9-]+) += \{\n +description = ", block, re.MULTILINE))
        assert text.count("alarm_description") == text.count("Runbook: docs/runbook.md#"), path
    # The others are symptoms and cases (tests/documented/test_runbook.py).
    assert named <= runbook
    assert len(named) == 42


@pytest.mark.parametrize("names", [["order_id"], ["order_id", "customer_id", "new"]])
def test_a_field_without_a_sentence_and_a_sentence_without_a_field_are_no_page(names):
    with pytest.raises(ValueError, match=r"differ about (customer_id|new)$"):
        load("schemas.message").require_all({"order_id": "", "customer_id": ""}, names)
