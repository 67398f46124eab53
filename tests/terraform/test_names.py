"""What everything is called: with a prefix that fits everywhere, without one as ever; every role's path and boundary.

Held here: every name of a resource, in whichever attribute it stands, is looked at; a new kind without its limit in
LIMITS is an error.
"""

import re

import botocore.session

from tests.terraform.installation import Plan

# The longest name that AWS takes, by the page or the model of its service ("Names", "Quotas").
LIMITS = {
    "aws_apigatewayv2_api": 128,
    "aws_cloudformation_stack": 128,
    "aws_cloudwatch_dashboard": 255,
    "aws_cloudwatch_log_group": 512,
    "aws_cloudwatch_log_metric_filter": 512,
    "aws_cloudwatch_metric_alarm": 255,
    "aws_cloudwatch_query_definition": 255,
    "aws_dynamodb_table": 255,
    "aws_iam_role": 64,
    "aws_kms_alias": 256,
    "aws_lambda_function": 64,
    "aws_s3_bucket": 63,
    "aws_scheduler_schedule": 64,
    "aws_sns_topic": 256,
    "aws_sqs_queue": 80,
}
ATTRIBUTES = ("name", "function_name", "alarm_name", "dashboard_name", "bucket")
# Parts of something that has a name, or named by AWS's own words: an alias of a function, a role's own policy.
PARTS = {
    "aws_apigatewayv2_stage",
    "aws_iam_role_policy",
    "aws_lambda_alias",
    "aws_lambda_event_source_mapping",
    "aws_lambda_function_event_invoke_config",
    "aws_lambda_permission",
    "aws_s3_bucket_lifecycle_configuration",
    "aws_s3_bucket_ownership_controls",
    "aws_s3_bucket_policy",
    "aws_s3_bucket_public_access_block",
    "aws_s3_bucket_server_side_encryption_configuration",
    "aws_s3_bucket_versioning",
    "aws_s3_object",
}
# What AWS puts in front of a name, or asks to stand there.
IN_FRONT = re.compile(r"^(/aws/lambda/|/aws/vendedlogs/|alias/)")


def names(plan: Plan) -> dict[str, tuple[str, str]]:
    """Kind and name of every resource that has one, by its address."""
    found = {}
    for address, planned in plan.items():
        kind = re.sub(r"^(module\.\w+(\[[^]]*\])?\.)*", "", address).partition(".")[0]
        name = next((planned[each] for each in ATTRIBUTES if isinstance(planned.get(each), str)), None)
        if name and kind not in PARTS | {"data", "outputs"}:
            found[address] = (kind, name)
    return found


def test_every_name_begins_with_the_prefix_and_is_what_it_was_behind_it(plans: dict[str, Plan]) -> None:
    prefixed, plain = names(plans["all_that_may_be"]), names(plans["names_as_ever"])
    assert prefixed.keys() == plain.keys()
    assert len(prefixed) > 50
    for address, (_, name) in plain.items():
        in_front = IN_FRONT.match(name)
        after = in_front.end() if in_front else 0
        assert prefixed[address][1] == f"{name[:after]}shop-{name[after:]}", address


def test_the_longest_prefix_and_environment_fit_into_every_name(plans: dict[str, Plan]) -> None:
    regions = botocore.session.get_session().get_available_regions("lambda", "aws")
    longest = max(regions, key=len)
    room = {}
    for address, (kind, name) in names(plans["all_that_may_be"]).items():
        full = name.replace("pure-128", "compiled-10240").replace("eu-central-1", longest)
        # Together they have 15 characters, wherever they stand.
        room[address] = LIMITS[kind] - len(full) - (15 - len("shop-test"))
    assert min(room.values()) == 0, "the limit of 15 characters could be another one"


def test_every_role_has_the_path_and_the_boundary_that_were_asked_for(plans: dict[str, Plan]) -> None:
    given = {
        run: {
            (planned["path"], planned["permissions_boundary"])
            for address, planned in plan.items()
            if ".aws_iam_role." in address
        }
        for run, plan in plans.items()
    }
    asked = {("/payments/", "arn:aws:iam::123456789012:policy/payments-boundary")}
    assert given == {"what_must_be": asked, "all_that_may_be": asked, "names_as_ever": {("/", None)}}
    assert sum(".aws_iam_role." in address for address in plans["all_that_may_be"]) == 10
