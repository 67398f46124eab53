"""ministack, whose GetFunction gives the code of the version that was asked for, as AWS does; its own the newest.

What it lacks it says in a sentence. It runs in ministack's own Python environment, in place of `ministack.app`: of ours
only what stands beside it can be imported.
"""

import json
from typing import Any

from lacking import with_sentences  # type: ignore[import-not-found]
from ministack.app import app as _ministack  # type: ignore[import-not-found]
from ministack.services import lambda_svc  # type: ignore[import-not-found]

__all__ = ["app"]

app = with_sentences(_ministack)
_get_function = lambda_svc._get_function
_serve_function_code = lambda_svc.serve_function_code


def _get_version(name: str, qualifier: str | None = None) -> Any:
    """The version's number joins the function's name in the address of its code."""
    status, headers, body = _get_function(name, qualifier)
    found = json.loads(body)
    if status == 200 and "Location" in found["Code"]:
        code, version = found["Code"], found["Configuration"]["Version"]
        code["Location"] = code["Location"].replace(f"/{name}?", f"/{name}:{version}?")
        body = json.dumps(found).encode()
    return status, headers, body


def _serve_version_code(name: str, account_id: str | None = None, region: str | None = None) -> Any:
    name, _, number = name.partition(":")
    function = lambda_svc._functions.get_scoped(account_id, region, name) or {}
    version = function.get("versions", {}).get(number)
    if version is None:
        return _serve_function_code(name, account_id, region)
    return 200, {"Content-Type": "application/zip"}, version["code_zip"] or b""


lambda_svc._get_function = _get_version
lambda_svc.serve_function_code = _serve_version_code
