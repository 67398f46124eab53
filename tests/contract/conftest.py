"""Real `awslambdaric` processes of throw-away functions, without any AWS service."""

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.execution_environment import ExecutionEnvironment, FunctionVersion
from local.installation import environment
from local.process_group import ProcessGroup

NewEnvironment = Callable[..., ExecutionEnvironment]


@pytest.fixture
def new_environment(tmp_path: Path) -> Iterator[NewEnvironment]:
    """Make an environment of a function's source text; all of them end with the test."""
    runtime_python = environment("runtime", sys.executable) / "python"
    numbers = itertools.count(1)
    with ProcessGroup() as processes:

        def make(
            source: str,
            timeout_seconds: int = 10,
            init_seconds_max: float = 10.0,
            variables: dict[str, str] | None = None,
            *,
            ahead: bool = False,
        ) -> ExecutionEnvironment:
            (tmp_path / "handler.py").write_text(source)
            function = FunctionVersion(
                name="payments",
                version="7",
                arn="arn:aws:lambda:us-east-1:000000000000:function:payments:live",
                code=tmp_path,
                handler="handler.lambda_handler",
                timeout_seconds=timeout_seconds,
                memory_size=512,
                variables=variables or {},
            )
            return ExecutionEnvironment(
                function,
                number=next(numbers),
                runtime_python=runtime_python,
                processes=processes,
                log_directory=tmp_path,
                host_variables={},
                init_seconds_max=init_seconds_max,
                ahead=ahead,
            )

        yield make
