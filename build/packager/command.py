"""The command behind build/package.py: what it packages, where to, and what it says."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from packager.archive import build_zip
from packager.bytecode import bytecode, find_interpreter
from packager.dependencies import dependency_files
from packager.files import ROOT, PackageError
from packager.functions import ARCHITECTURES, DEFAULT_RUNTIME, ENGINES, FUNCTIONS, SUPPORTS, Function, Target, processor
from packager.host import build_host
from packager.locks import LockError
from packager.manifest import clean_revision


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 1 with the reason on standard error when nothing was packaged."""
    parser = argparse.ArgumentParser(prog="build/package.py", description="Package the Lambda functions.")
    commands = parser.add_subparsers(dest="command", required=True)
    host = commands.add_parser("host", help="an unzipped package for this interpreter")
    host.add_argument("--function", choices=FUNCTIONS, default="processor")
    host.add_argument("--engine", choices=("auto", *ENGINES), default="auto")
    host.add_argument("--out", type=Path, required=True)
    cloud = commands.add_parser("lambda", help="the ZIP files for Lambda, into dist/")
    cloud.add_argument("--function", choices=FUNCTIONS, action="append", help="default: all")
    cloud.add_argument("--architecture", choices=ARCHITECTURES, action="append", help="default: all")
    cloud.add_argument("--engine", choices=ENGINES, action="append", help="default: all")
    cloud.add_argument("--runtime", default=DEFAULT_RUNTIME, help=f"default: {DEFAULT_RUNTIME}")
    cloud.add_argument("--allow-dirty", action="store_true", help="package a checkout that differs from its commit")
    cloud.add_argument("--record-size", action="store_true", help="write build/sizes.json instead of checking it")
    for command in (host, cloud):
        command.add_argument("--support", choices=SUPPORTS, default="lean", help="of the processor; default: lean")
    options = parser.parse_args(arguments)
    functions: dict[str, Function] = {**FUNCTIONS, "processor": processor(options.support)}
    try:
        if options.command == "host":
            build_host(functions[options.function], options.engine, options.out.absolute())
        else:
            revision = clean_revision(options.allow_dirty)
            for name in options.function or functions:
                function = functions[name]
                dependencies = dependency_files(function)
                dependencies |= bytecode(dependencies, find_interpreter(options.runtime))
                for architecture in options.architecture or ARCHITECTURES:
                    for engine in options.engine or ENGINES:
                        target = Target(function, architecture, engine, options.runtime)
                        path = build_zip(target, dependencies, revision, options.record_size)
                        print(f"{path.relative_to(ROOT)}  {path.stat().st_size / 1e6:.2f} MB")
    except (PackageError, LockError) as error:
        print(f"build/package.py: {error}", file=sys.stderr)
        return 1
    return 0
