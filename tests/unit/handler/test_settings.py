"""The table of settings: every variable is in it, is refused by its name, and is what Terraform passes to whom."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path

import pytest

from handler import settings
from handler.domain.canonical import VERSIONS
from handler.domain.errors import ConfigurationError
from handler.domain.rules import Rules
from handler.domain.times import Times
from handler.queue_function import create
from handler.settings import DEFINED_ELSEWHERE, SETTINGS, read_approval_settings, read_settings
from scoring import _compiled
from scoring.kernel import describe, load_engine

ROOT = Path(__file__).parents[3]
ROWS = {setting.name: setting for setting in SETTINGS}
FUNCTIONS = ("queue function", "workflow", "page", "reconcile", "events", "webhook", "conservation")
# Those beside `read_settings`.
READS = tuple(read for name, read in vars(settings).items() if name.startswith("read_") and name != "read_settings")


@pytest.fixture(autouse=True)
def no_instance_role(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without credentials the SDK would wait for a role that no machine of ours has."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def init(variables: dict[str, str]) -> None:
    """As far as the functions read their settings."""
    create(variables)
    for read in READS:
        read(variables)


def wrong_values() -> Iterator[tuple[str, str]]:
    """Every variable of the table with what it must not be, so that a new one is tested unseen."""
    for setting in SETTINGS:
        yield setting.name, "not a value!"
        if setting.kind.most:
            yield setting.name, "-1"
            yield setting.name, str(setting.kind.most + 1)
            yield setting.name, "9" * 5000
        if setting.kind.least:
            yield setting.name, str(setting.kind.least - 1)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        *wrong_values(),
        *((name, "0") for name in ROWS if name.endswith("_SECONDS") and name != "STRESS_DELAY_SECONDS"),
        ("ENVIRONMENT", "Dev!"),
        ("ENVIRONMENT", "a" * 16),
        ("PAYMENT_CURRENCY", "usd"),
        ("PAYMENT_AMOUNT_MAX", "0.00"),
        ("APPROVAL_AMOUNT_MINOR", "1.5"),
        ("CANONICAL_VERSION_WRITTEN", "0"),
        ("CANONICAL_VERSION_WRITTEN", str(max(VERSIONS) + 1)),
        ("SCORING_KERNEL", "shani2"),
        ("GATEWAY_URL", "http://gateway.example"),
        ("GATEWAY_URL", "http://127.0.0.1.example"),
        *(
            ("GATEWAY_URL", f"https://{rest}")
            for rest in ("x:99999", "x:65536", "x:0", "x/v1", "x?y", "a..b", "[::::]")
        ),
        ("GATEWAY_URL", "https://user@gateway.example"),
        ("PAYMENT_QUEUE_URL", "https://user:secret@queue.example"),
        ("APPROVAL_PAGE_URL", "https://user:secret@page.example"),
        *((name.upper(), "0.0009") for name in Times._fields),
        ("FUNCTION_TIMEOUT_SECONDS", "31"),
        ("FUNCTION_TIMEOUT_SECONDS", "10"),
        ("VISIBILITY_TIMEOUT_SECONDS", "100"),
        ("GATEWAY_DEADLINE_SECONDS", "26"),
        ("SAFETY_MARGIN_SECONDS", "26"),
        ("SAFETY_MARGIN_SECONDS", "150"),
        ("APPROVERS", "alice, b ob"),
        ("RULE_TABLE_PATH", "/nowhere/rules.table"),
        ("FINGERPRINT_PEPPER_SECRET_ARN", "arn:aws:secretsmanager:eu-central-1:123456789012:secret:pepper"),
    ],
)
def test_a_wrong_variable_fails_init_by_its_name_first(variable, value):
    # Only the compiled engine has kernels to name.
    engine = {} if variable == "SCORING_KERNEL" else {"SCORING_ENGINE": "pure"}
    with pytest.raises(Exception, match=rf"^{variable} is ") as caught:
        init({**engine, variable: value})
    assert type(caught.value).__name__ in ("ConfigurationError", "EngineUnavailableError")


@pytest.mark.parametrize("variable", ["GATEWAY_URL", "PAYMENT_QUEUE_URL", "APPROVAL_PAGE_URL"])
def test_a_refused_url_is_shown_without_its_user_information(variable):
    passwords = ("swordfish", "a/swordfish", "a@swordfish", "#swordfish", "a\nswordfish")
    rests = ("", ":99999", "/v1", " ")
    for start, password, rest in product(("https://", "http://", "https:", ""), passwords, rests):
        given = {variable: f"{start}user:{password}@gateway.example{rest}"}
        with pytest.raises(ConfigurationError) as caught:
            read_approval_settings(given) if variable.startswith("APPROVAL") else read_settings(given)
        assert str(caught.value).startswith(f"{variable} is '***@gateway.example{rest}'; allowed: ")


def test_seconds_say_how_many_digits_they_may_have():
    for name, setting in ROWS.items():
        if name.endswith("_SECONDS"):
            assert "six digits on each side of the point" in setting.kind.allowed, name


@pytest.mark.parametrize("name", Times._fields)
def test_no_time_of_the_protocol_is_zero(name):
    found = Times()._replace(**{name: 0}).check()
    assert found == ((name,), "seconds above 0")


def test_a_time_that_was_set_is_blamed_and_the_others_are_told():
    with pytest.raises(ConfigurationError) as caught:
        read_settings({"FUNCTION_TIMEOUT_SECONDS": "31"})
    assert caught.value.variable == "FUNCTION_TIMEOUT_SECONDS"
    assert "VISIBILITY_TIMEOUT_SECONDS is 180" in str(caught.value)


def test_approvers_are_separated_by_commas_and_nothing_else_is_said_by_spaces_and_empty_places():
    approvers = read_approval_settings({"APPROVERS": "alice, bob@example.com,,carol ,"}).approvers
    assert approvers == ("alice", "bob@example.com", "carol")


def test_the_table_holds_each_variable_once_and_takes_every_default():
    assert len(ROWS) == len(SETTINGS)
    assert not set(ROWS) & set(DEFINED_ELSEWHERE)
    assert [setting.name for setting in SETTINGS if setting.default and not setting.kind.takes(setting.default)] == []
    assert read_settings({}).rules == Rules()


def test_every_variable_of_the_table_is_read_and_nothing_else():
    asked: set[str] = set()

    class Asked(dict[str, str]):
        def get(self, name, default=None):
            asked.add(name)
            return default

    for read in (read_settings, *READS):
        read(Asked())
    assert set(ROWS) <= asked <= {*ROWS, *DEFINED_ELSEWHERE}


def named_variables(source: str) -> set[str]:
    """What looks like a variable in a source: a name with an underscore, or what a mapping of variables is asked."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Constant(str(text)) if re.fullmatch(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+", text):
                found.add(text)
            case ast.Subscript(mapping, ast.Constant(str(text))) | ast.Call(
                ast.Attribute(mapping, "get" | "pop"), [ast.Constant(str(text)), *_]
            ) if re.fullmatch(r"(.*\.)?_?environ(ment)?", ast.unparse(mapping)):
                found.add(text)
            case ast.Call(ast.Attribute(_, "getenv"), [ast.Constant(str(text)), *_]):
                found.add(text)
    return found


def test_no_variable_is_read_in_the_handler_that_the_table_does_not_have():
    # Of DynamoDB and its streams, KMS and durable executions.
    answers = {"AFTER_SEQUENCE_NUMBER", "ALL_OLD", "HMAC_SHA_256", "TIMED_OUT", "TRIM_HORIZON"}
    answers |= {"DYNAMODB_JSON", "FULL_EXPORT", "INCREMENTAL_EXPORT", "IN_PROGRESS", "NEW_IMAGE"}
    for path in (ROOT / "handler").rglob("*.py"):
        assert named_variables(path.read_text()) <= {*ROWS, *DEFINED_ELSEWHERE, *answers}, path


@pytest.mark.parametrize(
    "source",
    [
        *("os.environ['TZ']", "os.environ.get('TZ', '')", "os.getenv('TZ')", "self._environment.get('TZ')"),
        *("environment['TZ']", "PORT = 'TZ_PORT'", "read(os.environ, 'TZ_PORT')"),
    ],
)
def test_a_variable_that_the_table_does_not_have_is_found(source):
    assert named_variables(source) & {"TZ", "TZ_PORT"}


def test_the_kernel_is_chosen_by_the_settings_alone(monkeypatch):
    monkeypatch.setenv("SCORING_KERNEL", "not-a-kernel")
    try:
        create({"SCORING_ENGINE": "compiled", "SCORING_KERNEL": "portable-1"})
        assert describe()["kernel"] == "portable-1"
        create({"SCORING_ENGINE": "compiled"})
        assert describe()["kernel"] == "auto"
    finally:
        load_engine("auto", "auto")


def test_the_version_written_is_the_versions_of_new_items():
    for version in VERSIONS:
        assert read_settings({"CANONICAL_VERSION_WRITTEN": str(version)}).rules.canonical_version == version
    assert read_settings({}).rules.canonical_version == 1


# ---- what Terraform passes ----------------------------------------------------------------------------------------

MAIN, VARIABLES = ((ROOT / "terraform" / name).read_text() for name in ("main.tf", "variables.tf"))
WORKFLOW = (ROOT / "terraform" / "modules" / "approval_workflow" / "main.tf").read_text()


def given(text: str, name: str) -> dict[str, str]:
    """The entries, as text, of a map that is assigned to `name`, without what is merged into it."""
    found = re.search(rf"^( *){name} += (?:merge\([\w.]+, )?\{{\n(.*?)^\1\}}", text, re.DOTALL | re.MULTILINE)
    assert found, name
    return dict(re.findall(r"^ +([A-Z][A-Z0-9_]+) += (.*)$", found[2], re.MULTILINE))


def module(name: str) -> str:
    return (ROOT / "terraform" / "modules" / name / "main.tf").read_text()


def passed() -> Mapping[str, dict[str, str]]:
    """Variable -> expression that Terraform passes, by function."""
    of_all = (given(MAIN, name) for name in ("handler_variables", "chosen_variables", "live_variables"))
    live = {name: expression for given_to_all in of_all for name, expression in given_to_all.items()}
    return {
        "queue function": {**live, **given(MAIN, "environment_variables")},
        "workflow": {**live, **given(WORKFLOW, "workflow_variables")},
        "page": given(WORKFLOW, "deciding_variables"),
        "events": given(module("outcome_events"), "variables"),
        "webhook": given(module("webhook"), "variables"),
        "reconcile": {**live, **given(WORKFLOW, "reconcile_variables")},
        "conservation": {**live, **given(module("conservation"), "variables")},
    }


@pytest.mark.parametrize("function", FUNCTIONS)
def test_terraform_passes_to_each_function_what_it_reads(function):
    reads = {setting.name for setting in SETTINGS if function in setting.readers}
    # Lambda sets its own and refuses to be given them.
    own = {name for name in reads if name.startswith("AWS_")}
    powertools = {name for name in DEFINED_ELSEWHERE if name.startswith("POWERTOOLS_")}
    assert set(passed()[function]) - powertools == reads - own


def block(name: str) -> str:
    found = re.search(rf'^variable "{name}" \{{\n(.*?)^\}}', VARIABLES, re.DOTALL | re.MULTILINE)
    assert found, name
    return found[1]


def terraform_variables() -> dict[str, str]:
    """Setting -> the root's variable that says it, where one variable does."""
    found = {}
    for name, expression in passed()["queue function"].items():
        if name in ROWS and (named := set(re.findall(r"\bvar\.(\w+)", expression))):
            [found[name]] = named
    return found


def test_terraforms_defaults_are_the_tables():
    assert len(terraform_variables()) > 15
    for name, variable in terraform_variables().items():
        [default] = re.findall(r"^  default +=(.*)$", block(variable), re.MULTILINE)
        text = default.strip().strip('"').replace("null", "").replace("{}", "")
        # A package is made with one engine, and what was made for the compiled one must not run the other.
        assert text in ("", "compiled" if name == "SCORING_ENGINE" else ROWS[name].default), name


def test_terraform_refuses_what_the_table_refuses():
    for name, variable in terraform_variables().items():
        kind, rules = ROWS[name].kind, block(variable)
        if name == "CANONICAL_VERSION_WRITTEN":
            # Which there are is the package's to say.
            continue
        if kind.most and kind.allowed.startswith("a whole number"):
            assert f"from {kind.least} to {kind.most}" in rules, name
        # Those of the currencies stand in a table of their own, which test_currencies.py compares.
        for choice in kind.choices if name != "PAYMENT_CURRENCY" else ():
            assert re.search(rf"\b{choice}\b", rules), name


def patterns(variable: str) -> list[str]:
    """The patterns of a variable's rules that its whole text must have."""
    return [found.replace("\\\\", "\\") for found in re.findall(r' can\(regex\("\^(.*?)\$"', block(variable))]


def pattern(variable: str) -> str:
    return patterns(variable)[0]


SECONDS = {
    f"{name}_SECONDS" for name in ("GATEWAY_DEADLINE", "SAFETY_MARGIN", "RETRY_DELAY", "STRESS_DELAY", "PARK_AFTER")
}
# Narrower in Terraform than a name of AWS's: with what it takes.
ARNS = {
    "GATEWAY_SECRET_ARN": "arn:aws:secretsmanager:us-east-1:123456789012:secret:gateway-AbC123",
    "FINGERPRINT_PEPPER_SECRET_ARN": "arn:aws:secretsmanager:us-east-1:123456789012:secret:pepper-AbC123",
}


def test_terraform_has_the_tables_patterns():
    held = set()
    for name, variable in terraform_variables().items():
        kind, rules = ROWS[name].kind, block(variable)
        if not kind.pattern or "floor(var." in rules:
            # Anything goes, or a whole number whose bounds say how long it is.
            continue
        held.add(name)
        if name in ARNS:
            [narrower] = patterns(variable)
            for value in [ARNS[name], *(ARNS[name] + chr(code) for code in range(256))]:
                assert kind.takes(value) or not re.fullmatch(narrower, value), (name, value)
            assert re.fullmatch(narrower, ARNS[name])
        elif name == "SCORING_KERNEL":
            assert patterns(variable) == [kind.pattern.replace("{1,", "{0,")]
        else:
            assert kind.pattern in patterns(variable), name
        if name in SECONDS:
            assert re.search(rf'regex\("[^"]*", tostring\(var\.{variable}\)\)', rules), name
            assert f"var.{variable} >= {kind.least:g} " in rules, name
    assert held == {
        *SECONDS,
        *ARNS,
        "ENVIRONMENT",
        "GATEWAY_URL",
        "ID_SHAPES",
        "SCORING_KERNEL",
        "PAYMENT_CURRENCY_RATE",
        "RESTORED_AT",
    }


def test_terraform_passes_a_share_as_the_table_takes_it():
    share = ROWS["FRAUD_SERVICE_FAILURE_RATE"].kind.pattern
    assert share in patterns("approval_workflow")
    # As Terraform searches it.
    assert [value for value in ("0", "0.2", "1", "0.1234567", "2", "11") if re.search(f"^{share}$", value)] == [
        *("0", "0.2", "1"),
    ]


def test_every_text_that_may_be_null_is_refused_by_terraform_where_it_is_empty():
    refused = (ROOT / "terraform" / "tests" / "refused.tftest.hcl").read_text()
    [run] = re.findall(r'^run "empty_texts" \{\n(.*?)^\}', refused, re.DOTALL | re.MULTILINE)
    names = {
        name
        for name in re.findall(r'^variable "(\w+)"', VARIABLES, re.MULTILINE)
        if re.search(r"^  type +=\s*string$", block(name), re.MULTILINE)
        and re.search(r"^  default +=\s*null$", block(name), re.MULTILINE)
    }
    assert len(names) > 4
    assert set(re.findall(r'^    (\w+) += ""$', run, re.MULTILINE)) == names
    assert set(re.findall(r"^    var\.(\w+),$", run, re.MULTILINE)) == names


def test_terraform_takes_those_aws_identities_as_approvers_that_the_table_takes():
    [identity] = [one for one in patterns("approval_workflow") if one.startswith("arn:")]
    assert f"|{identity})" in ROWS["APPROVERS"].kind.pattern


def test_an_environments_name_is_bounded_by_the_longest_name_that_it_is_in():
    name = "a" * 15
    assert ROWS["ENVIRONMENT"].kind.pattern == pattern("environment")
    assert f"environment must be {ROWS['ENVIRONMENT'].kind.allowed}." in block("environment")
    assert ROWS["ENVIRONMENT"].kind.takes(name)
    assert not ROWS["ENVIRONMENT"].kind.takes(name + "a")
    # Lambda's limit, reached by the benchmark functions, whose memory size has at most five digits.
    made = (ROOT / "terraform" / "modules" / "benchmark_functions" / "main.tf").read_text()
    [form] = re.findall(r'^  name += "(\$\{var\.name_prefix\}cloudcafe-payment-processor.*-bench)"', made, re.MULTILINE)
    assert 'function_name    = "${local.name}-${each.key}"' in made
    # Together prefix and environment have 15 characters, too (tests/terraform/test_names.py).
    assert len(f"{form.replace('${var.name_prefix}', '').replace('${var.environment}', name)}-compiled-10240") == 64


@pytest.mark.parametrize("name", ["auto", *_compiled.kernels_known()])
def test_every_kernel_can_be_named_in_the_setting_and_in_terraform(name):
    assert ROWS["SCORING_KERNEL"].kind.takes(name)
    assert re.fullmatch(pattern("scoring_kernel"), name)


@pytest.mark.parametrize(
    ("variable", "secret"),
    [
        ("GATEWAY_SECRET_ARN", "sk_test_swordfish"),
        ("FINGERPRINT_PEPPER_SECRET_ARN", "swordfish"),
        ("GATEWAY", "rk_live_swordfish"),
        ("GATEWAY_MODE", "sk_live_swordfish"),
        ("GATEWAY_URL", "https://sk_live_swordfish"),
    ],
)
def test_a_secret_that_was_put_where_none_belongs_is_not_shown(variable, secret):
    with pytest.raises(ConfigurationError, match=f"^{variable} is ") as caught:
        raise ConfigurationError(variable, secret, "another value")
    assert "swordfish" not in str(caught.value)


def test_a_secrets_name_is_shown():
    arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:key"
    assert arn in str(ConfigurationError("GATEWAY_SECRET_ARN", arn, "a secret that the function may read"))
