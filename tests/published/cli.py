"""Both versions of the AWS CLI: 1 from the package index, 2 from AWS's own layer of it there, or this machine's.

The rule: a version that cannot be had is a failure that says how to get it, never a test less.
"""

import os
import platform
import shutil
import stat
import subprocess
import tarfile
import tempfile
import zipfile
from pathlib import Path

from local.installation import environment

VERSIONS = (1, 2)


def folder(version: int) -> Path:
    """The folder of an `aws` of this version, for the front of a PATH."""
    if version == 1:
        found = environment("awscli")
    elif (platform.system(), platform.machine()) == ("Linux", "x86_64"):
        found = _from_the_layer()
    else:
        # AWS publishes the layer for Lambda's x86_64 alone.
        here = shutil.which("aws")
        assert here, "this machine has no AWS CLI: install AWS's own, version 2"
        found = Path(here).parent
    said = subprocess.run([found / "aws", "--version"], capture_output=True, text=True, check=True).stdout
    assert said.startswith(f"aws-cli/{version}."), (
        f"{found}/aws is {said}: the AWS CLI {version} is needed in its place"
    )
    return found


def _from_the_layer() -> Path:
    """What AWS's CDK gives Lambda functions as a layer: the installer's own files, Python included."""
    installed = environment("awscli2").parent
    unpacked = installed / "cli"
    if not unpacked.exists():
        (archive,) = installed.glob("lib/python*/site-packages/aws_cdk/asset_awscli_v2/_jsii/*.tgz")
        with tempfile.TemporaryDirectory(dir=installed) as scratch:
            with tarfile.open(archive) as package, open(f"{scratch}/layer.zip", "wb") as layer:
                content = package.extractfile("package/lib/layer.zip")
                assert content is not None
                shutil.copyfileobj(content, layer)
            with zipfile.ZipFile(f"{scratch}/layer.zip") as layer_zip:
                for member in layer_zip.infolist():
                    # Its links name Lambda's folders, and its examples are for `aws help`.
                    if not stat.S_ISLNK(member.external_attr >> 16) and "/examples/" not in member.filename:
                        path = layer_zip.extract(member, f"{scratch}/cli")
                        os.chmod(path, (member.external_attr >> 16) & 0o777 or 0o755)
            Path(scratch, "cli").rename(unpacked)
    (program,) = unpacked.glob("awscli/v2/*/dist/aws")
    return program.parent
