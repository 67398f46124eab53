"""Lambda's contract for one execution environment, with AWS's own runtime client in the process.

Held here: one init, then many invocations in one process; errors keep the environment, time-outs and crashes end it;
a failed or slow init is repeated once inside the first invocation, under the function's own time-out.
"""

import json
import os
import re
import threading
import time
from pathlib import Path

from local.execution_environment import PORTABLE_CLIENT, ExecutionEnvironment
from tests.contract.conftest import NewEnvironment

COUNT = """
import json, os
calls = 0
def lambda_handler(event, context):
    global calls
    calls += 1
    return {"pid": os.getpid(), "calls": calls}
"""


def test_one_process_serves_many_invocations_and_only_the_first_is_cold(new_environment: NewEnvironment) -> None:
    environment = new_environment(COUNT)
    assert environment.init()
    outcomes = [environment.invoke(b"{}") for _ in range(3)]
    answers = [json.loads(outcome.payload) for outcome in outcomes]
    assert [answer["calls"] for answer in answers] == [1, 2, 3]
    assert {answer["pid"] for answer in answers} == {environment.pid}
    assert [outcome.cold_start for outcome in outcomes] == [True, False, False]
    assert all(outcome.error_type is None for outcome in outcomes)


def test_the_function_sees_lambdas_variables_and_context(new_environment: NewEnvironment) -> None:
    environment = new_environment(
        """
import os, sys
def lambda_handler(event, context):
    return {
        "environ": dict(os.environ), "path": sys.path, "event": event,
        "context": [context.aws_request_id, context.invoked_function_arn, context.function_name,
                    context.function_version, context.memory_limit_in_mb, context.get_remaining_time_in_millis()],
    }
""",
        timeout_seconds=10,
        variables={"STRESS_MODE": "none", "AWS_REGION": "eu-nowhere-1"},
    )
    environment.init()
    seen = json.loads(environment.invoke(b'{"naive": "\\u00e9"}', request_id="request-1").payload)
    assert seen["event"] == {"naive": "é"}
    assert seen["context"][:5] == [
        "request-1",
        "arn:aws:lambda:us-east-1:000000000000:function:payments:live",
        "payments",
        "7",
        "512",
    ]
    assert 0 < seen["context"][5] <= 10_000
    assert seen["environ"]["STRESS_MODE"] == "none"
    # Reserved: what the function's configuration says about it does not count.
    assert seen["environ"]["AWS_REGION"] == "us-east-1"
    assert seen["environ"]["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "512"
    assert seen["environ"]["_X_AMZN_TRACE_ID"].startswith("Root=1-")
    # Nothing of the developer's shell or checkout leaks in.
    assert "PYTHONPATH" not in seen["environ"]
    assert "HOME" not in seen["environ"]
    assert os.getcwd() not in seen["path"]


def test_an_error_of_the_function_is_answered_and_the_environment_lives_on(new_environment: NewEnvironment) -> None:
    environment = new_environment("def lambda_handler(event, context):\n    return 1 / event\n")
    environment.init()
    failed = environment.invoke(b"0")
    assert failed.error_type == "ZeroDivisionError"
    assert json.loads(failed.payload)["errorMessage"] == "division by zero"
    assert environment.invoke(b"2").payload == b"0.5"
    assert not environment.ended


def test_an_answer_that_is_not_json_is_an_error_of_the_function(new_environment: NewEnvironment) -> None:
    environment = new_environment("def lambda_handler(event, context):\n    return object()\n")
    environment.init()
    assert environment.invoke(b"{}").error_type == "Runtime.MarshalError"


def test_a_time_out_ends_the_environment(new_environment: NewEnvironment) -> None:
    environment = new_environment(
        "import time\ndef lambda_handler(event, context):\n    time.sleep(event)\n", timeout_seconds=1
    )
    environment.init()
    pid = environment.pid
    outcome = environment.invoke(b"600")
    assert outcome.error_type == "Sandbox.Timedout"
    assert "Task timed out after 1.00 seconds" in environment.log_path.read_text()
    assert environment.ended
    assert environment.pid is None
    assert not Path(f"/proc/{pid}/cmdline").exists() or not Path(f"/proc/{pid}/cmdline").read_bytes()


def test_a_crash_ends_the_environment_and_names_the_signal(new_environment: NewEnvironment) -> None:
    environment = new_environment("import os\ndef lambda_handler(event, context):\n    os.kill(os.getpid(), event)\n")
    environment.init()
    outcome = environment.invoke(b"9")
    assert outcome.error_type == "Runtime.ExitError"
    assert b"SIGKILL" in outcome.payload
    assert environment.ended


def test_an_exit_inside_the_function_is_a_crash(new_environment: NewEnvironment) -> None:
    environment = new_environment("import os\ndef lambda_handler(event, context):\n    os._exit(3)\n")
    environment.init()
    outcome = environment.invoke(b"{}")
    assert outcome.error_type == "Runtime.ExitError"
    assert b"exit status 3" in outcome.payload


def test_killing_a_busy_environment_ends_its_invocation_at_once(new_environment: NewEnvironment) -> None:
    environment = new_environment("import time\ndef lambda_handler(event, context):\n    time.sleep(600)\n", 300)
    environment.init()
    outcomes = []
    worker = threading.Thread(target=lambda: outcomes.append(environment.invoke(b'{"payment": 1}')))
    worker.start()
    while environment.event != b'{"payment": 1}':
        time.sleep(0.01)
    environment.kill()
    worker.join(timeout=30)
    assert outcomes[0].error_type == "Runtime.ExitError"


# Its first init does not end well; the test decides when the repeated one goes on.
UNTIL_GO = """
import os, time
while not os.path.exists("go"):
    {slow}
def lambda_handler(event, context):
    return "served"
"""


def test_an_init_beyond_the_limit_is_killed_and_repeated_in_the_first_invocation(
    new_environment: NewEnvironment,
) -> None:
    environment = new_environment(UNTIL_GO.format(slow="time.sleep(0.01)"), init_seconds_max=0.5)
    assert not environment.init()
    assert environment.pid is None
    (environment.function.code / "go").touch()
    outcome = environment.invoke(b"{}")
    assert outcome.payload == b'"served"'
    assert outcome.cold_start
    log = environment.log_path.read_text()
    assert "Phase: init\tStatus: timeout" in log
    assert log.count("INIT_REPORT") == 1


def test_an_init_that_crashes_is_repeated_in_the_first_invocation(new_environment: NewEnvironment) -> None:
    environment = new_environment(UNTIL_GO.format(slow="os._exit(1)"))
    assert not environment.init()
    assert environment.init_problem == "its process ended: exit status 1"
    (environment.function.code / "go").touch()
    assert environment.invoke(b"{}").payload == b'"served"'


def test_an_init_that_always_fails_fails_the_invocation_with_its_own_error(new_environment: NewEnvironment) -> None:
    environment = new_environment("raise ValueError('GATEWAY_DEADLINE_SECONDS is wrong')\n")
    assert not environment.init()
    assert environment.init_problem == "ValueError: GATEWAY_DEADLINE_SECONDS is wrong"
    outcome = environment.invoke(b"{}")
    assert outcome.error_type == "ValueError"
    assert "GATEWAY_DEADLINE_SECONDS" in json.loads(outcome.payload)["errorMessage"]
    assert environment.ended


def test_a_repeated_init_is_under_the_functions_time_out(new_environment: NewEnvironment) -> None:
    environment = new_environment("import time\ntime.sleep(600)\n", timeout_seconds=1, init_seconds_max=0.3)
    assert not environment.init()
    assert environment.init_problem == "it took too long"
    outcome = environment.invoke(b"{}")
    assert outcome.error_type == "Sandbox.Timedout"
    assert environment.ended


def test_the_init_limit_counts_sleeping_and_running_but_not_waiting_for_a_processor(
    new_environment: NewEnvironment,
) -> None:
    # Three busy processes a core beside an init that ends when it has waited for longer than the limit.
    spin = "import os\nopen(f'busy-{os.getpid()}', 'w').close()\nwhile True:\n    pass\n"
    busy = [new_environment(spin, init_seconds_max=60) for _ in range(3 * (os.cpu_count() or 1))]
    started = [threading.Thread(target=each.init, daemon=True) for each in busy]
    for thread in started:
        thread.start()
    # Each has read its source, which the next environment's replaces.
    while len(list(busy[0].function.code.glob("busy-*"))) < len(busy):
        time.sleep(0.01)
    environment = new_environment(
        "import os\nwhile int(open('/proc/self/schedstat').read().split()[1]) < 2e9:\n    os.sched_yield()\n"
        "def lambda_handler(event, context):\n    return 1\n",
        init_seconds_max=1.5,
    )
    assert environment.init(), environment.log_path.read_text()
    for each in busy:
        each.kill()


def test_start_end_and_report_lines_are_lambdas(new_environment: NewEnvironment) -> None:
    environment = new_environment("def lambda_handler(event, context):\n    print('hello')\n")
    environment.init()
    environment.invoke(b"{}", request_id="r-1")
    lines = environment.log_path.read_text().splitlines()
    assert lines[0].startswith("INIT_START")
    assert lines[1:4] == ["START RequestId: r-1 Version: 7", "hello", "END RequestId: r-1"]
    report = dict(part.split(": ", 1) for part in lines[4].split("\t"))
    assert report["REPORT RequestId"] == "r-1"
    assert set(report) == {
        "REPORT RequestId",
        "Duration",
        "Billed Duration",
        "Memory Size",
        "Max Memory Used",
        "Init Duration",
    }
    assert report["Max Memory Used"] != "0 MB"


SAYS_ITS_TYPE = """
import os, time
time.sleep(0.2)
def lambda_handler(event, context):
    return os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"]
"""


def reports(environment: ExecutionEnvironment) -> list[dict[str, float]]:
    """The times of each REPORT line, in ms."""
    lines = [line for line in environment.log_path.read_text().splitlines() if line.startswith("REPORT")]
    return [
        {name: float(ms) for name, ms in re.findall(r"(\w[\w ]*Duration|Duration): ([\d.]+) ms", line)}
        for line in lines
    ]


def test_a_cold_invocation_is_billed_with_its_init_and_a_warm_one_without(new_environment: NewEnvironment) -> None:
    environment = new_environment(SAYS_ITS_TYPE)
    environment.init()
    first = environment.invoke(b"{}")
    environment.invoke(b"{}")
    cold, warm = reports(environment)
    assert (first.payload, first.cold_start) == (b'"on-demand"', True)
    # To a hundredth of a millisecond, as the line has them.
    assert abs(cold["Billed Duration"] - (cold["Init Duration"] + cold["Duration"])) <= 1.02
    assert cold["Billed Duration"] >= cold["Init Duration"]
    assert warm.keys() == {"Duration", "Billed Duration"}
    assert 0 <= warm["Billed Duration"] - warm["Duration"] <= 1.01


def test_an_environment_that_is_made_ahead_says_so_and_no_invocation_of_it_is_cold(
    new_environment: NewEnvironment,
) -> None:
    environment = new_environment(SAYS_ITS_TYPE, ahead=True)
    environment.init()
    first = environment.invoke(b"{}")
    assert (first.payload, first.cold_start) == (b'"provisioned-concurrency"', False)
    [report] = reports(environment)
    assert report.keys() == {"Duration", "Billed Duration"}
    assert 0 <= report["Billed Duration"] - report["Duration"] <= 1.01


def test_a_large_event_and_a_large_answer_pass_whole(new_environment: NewEnvironment) -> None:
    environment = new_environment("def lambda_handler(event, context):\n    return event\n")
    environment.init()
    event = json.dumps("x" * 5_000_000).encode()
    assert environment.invoke(event).payload == event


def test_cpu_time_and_peak_memory_are_measured_per_phase(new_environment: NewEnvironment) -> None:
    environment = new_environment(
        "import time\nhold = bytearray(40_000_000)\n"
        "def lambda_handler(event, context):\n"
        "    end = time.process_time() + event\n    while time.process_time() < end:\n        pass\n"
    )
    environment.init()
    worked = environment.invoke(b"0.2")
    idle = environment.invoke(b"0")
    assert worked.init_cpu_ms is not None
    assert worked.init_cpu_ms > 0
    assert worked.cpu_ms is not None
    assert worked.cpu_ms >= 200
    assert idle.cpu_ms is not None
    assert idle.cpu_ms < worked.cpu_ms
    assert worked.memory_peak_bytes is not None
    assert worked.memory_peak_bytes > 40_000_000


def test_the_runtime_works_without_its_native_client(new_environment: NewEnvironment) -> None:
    environment = new_environment(
        "import runtime_client\ndef lambda_handler(event, context):\n    return [runtime_client.__file__, 1 / event]\n",
        variables={"PYTHONPATH": str(PORTABLE_CLIENT)},
    )
    assert environment.init()
    assert environment.invoke(b"0").error_type == "ZeroDivisionError"
    assert json.loads(environment.invoke(b"2").payload) == [str(PORTABLE_CLIENT / "runtime_client.py"), 0.5]
