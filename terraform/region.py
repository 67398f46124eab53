"""Refuse a region that AWS does not have before Terraform starts: the provider names it but not what to do."""

import os
import sys

import botocore.session


def problem(region: str) -> str | None:
    """What is wrong with `region` (a name such as us-east-1) as one sentence, or None."""
    # The packages have botocore's data of no other partition, such as those of China and GovCloud.
    known = botocore.session.get_session().get_available_regions("lambda", "aws")
    if region in known:
        return None
    return (
        f"AWS_REGION is {region}, which is unsupported: export AWS_REGION=us-east-1, or another of {', '.join(known)}"
    )


def main() -> int:
    """Check AWS_REGION or AWS_DEFAULT_REGION; without either, a profile decides and the provider looks it up."""
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    found = problem(region) if region else None
    if found:
        print(found, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
