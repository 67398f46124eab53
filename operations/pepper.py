"""`payments pepper create | rotate`: the secret behind the fingerprints.

The rule it keeps: the secret is made here, goes to Secrets Manager, and is printed nowhere.
"""

from __future__ import annotations

import secrets

import click
from botocore.exceptions import ClientError

from operations.options import NAME, Call, Topic, confirmed, pass_call

_BYTES = 32


@click.group(cls=Topic, example="payments pepper create")
def pepper() -> None:
    """The secret behind the fingerprints of billing identities."""


def _name(call: Call) -> str:
    return f"payment-fingerprint-pepper-{call.variables['ENVIRONMENT']}"


@pepper.command(example="payments pepper create --environment prod")
@click.option("--kms-key", type=NAME, metavar="ARN", help="A key of yours to encrypt it with.")
@pass_call
def create(call: Call, kms_key: str | None) -> int:
    """Make it, once an environment, and tell its ARN for Terraform."""
    name = _name(call)
    key = {"KmsKeyId": kms_key} if kms_key else {}
    try:
        made = call.client("secretsmanager").create_secret(Name=name, SecretString=secrets.token_hex(_BYTES), **key)
    except ClientError as error:
        if error.response["Error"].get("Code") != "ResourceExistsException":
            raise
        raise click.ClickException(
            f"{name} is there already, and stays as it is: `payments pepper rotate` gives it another value"
        ) from error
    call.say(
        f'made {name}. Terraform takes it as fingerprint_pepper_secret_arn = "{made["ARN"]}"',
        name=name,
        arn=made["ARN"],
        version_id=made["VersionId"],
    )
    return 0


@pepper.command(example="payments pepper rotate --environment prod")
@confirmed
@pass_call
def rotate(call: Call) -> int:
    """Give it another value, as where somebody has read it.

    Fingerprints before and after no longer link, and blocklists of fingerprints are void: an item says by
    fingerprint_version which it has. Functions read it when an environment starts: publish anew to have one at a time.
    """
    name = _name(call)
    call.confirm(
        f"Every fingerprint that {name} made so far links to none that comes, and blocklists of them are void."
    )
    made = call.client("secretsmanager").put_secret_value(SecretId=name, SecretString=secrets.token_hex(_BYTES))
    call.say(
        f"{name} has version {made['VersionId']}. Environments that run keep the old one: `make apply` or `payments "
        "deploy` replaces them; then compile blocklists anew",
        name=name,
        arn=made["ARN"],
        version_id=made["VersionId"],
    )
    return 0
