"""What one can do about an avalanche, as parameters, and what each comes to on the same traffic.

One rule: a policy changes what its name says and nothing else; one that a record or AWS refuses is a refusal with its
reason beside the others' results, never left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.avalanche.lab import invocations_of, restores_of
from benchmarks.avalanche.parameters import Function, ImpossibleParametersError, Mapping, Parameters, Traffic
from benchmarks.avalanche.result import Result
from benchmarks.avalanche.simulation import simulate
from benchmarks.coldstart.plan import SUPPORTS
from scoring.kernel import ENGINES


@dataclass(frozen=True)
class Policy:
    """A way to run the function. `groups` 0 leaves the traffic's; `pollers` are the least and the most.

    `account_concurrency` 0 takes what the policy needs: AWS's default, or where it provisions more, that and 1,000.
    """

    name: str
    engine: str = "compiled"
    support: str = ""
    memory_size: int = 512
    stress_mode: str = "cold_start"
    groups: int = 0
    batch_size: int = 10
    provisioned_concurrency: int = 0
    pollers: tuple[int, int] | None = None
    snapstart_restore_ms: tuple[float, ...] = ()
    snapstart: bool = False
    group_concurrency: int = 10
    account_concurrency: int = 0


@dataclass(frozen=True)
class Outcome:
    """What a policy comes to: a result and where its durations are from, or why there is none."""

    policy: Policy
    result: Result | None
    refusal: str = ""
    durations: str = ""

    def as_document(self) -> dict[str, Any]:
        """For JSON: the policy, and the result without its arrays or the refusal."""
        document = {"policy": dict(vars(self.policy)), "refusal": self.refusal, "durations": self.durations}
        return document | {"result": None if self.result is None else self.result.as_document()}


def policies(base: Policy, *, snapstart_restore_ms: tuple[float, ...] = ()) -> Iterator[Policy]:
    """The base, and each of the others with one thing changed."""
    yield base
    for engine in ENGINES:
        yield replace(base, name=f"{engine} engine", engine=engine)
    for memory_size in (128, 256, 1024, 1769, 3008):
        yield replace(base, name=f"{memory_size} MB", memory_size=memory_size)
    for groups in (10, 100, 1_000, 10_000):
        yield replace(base, name=f"{groups:,} groups", groups=groups)
    for batch_size in (1, 5):
        yield replace(base, name=f"batches of {batch_size}", batch_size=batch_size)
    for count in (10, 100, 1_000):
        yield replace(base, name=f"{count:,} provisioned", provisioned_concurrency=count)
    # Ten executions each: what the account's thousand leave beside the function's others.
    for least, most in ((20, 90), (90, 90)):
        name = f"{least} to {most} pollers" if least < most else f"{most} pollers"
        yield replace(base, name=name, pollers=(least, most))
    yield replace(base, name="SnapStart", snapstart=True, snapstart_restore_ms=snapstart_restore_ms)
    for support in SUPPORTS:
        yield replace(base, name=f"{support} support", support=support)
    yield replace(base, name="one group at a time", group_concurrency=1)
    yield replace(base, name="without stress", stress_mode="none")


def parameters(policy: Policy, traffic: Traffic, record: dict[str, Any], base: Parameters | None = None) -> Parameters:
    """A policy on a traffic, with the lab's durations; `base` has queue, payments, gateway, table and quotas.

    Raises ImpossibleParametersError.
    """
    work = invocations_of(
        record,
        engine=policy.engine,
        memory_size=policy.memory_size,
        support=policy.support,
        stress_mode=policy.stress_mode,
    )
    function = Function(
        work,
        memory_size=policy.memory_size,
        provisioned_concurrency=policy.provisioned_concurrency,
        group_concurrency=policy.group_concurrency,
    )
    if policy.snapstart:
        restores = restores_of(
            record,
            engine=policy.engine,
            memory_size=policy.memory_size,
            support=policy.support,
            given_ms=policy.snapstart_restore_ms,
        )
        function = replace(
            function,
            invocations=replace(work, first_ms=restores.first_ms, label=f"{work.label}; {restores.label}"),
            snapstart_restore_ms=restores.restore_ms,
            snapstart_own_ms=restores.own_ms,
        )
    mapping = Mapping(batch_size=policy.batch_size)
    if policy.pollers:
        mapping = replace(mapping, pollers_min=policy.pollers[0], pollers_max=policy.pollers[1])
    traffic = replace(traffic, groups=policy.groups) if policy.groups else traffic
    whole = base or Parameters(Traffic(1, 1), Function(work))
    account = policy.account_concurrency or whole.quotas.account_concurrency
    if not policy.account_concurrency and policy.provisioned_concurrency > account - whole.quotas.unreserved_min:
        account = policy.provisioned_concurrency + 1_000
    quotas = replace(whole.quotas, account_concurrency=account)
    return replace(whole, traffic=traffic, function=function, mapping=mapping, quotas=quotas)


def compare(
    found: Iterable[Policy], traffic: Traffic, record: dict[str, Any], seed: int, base: Parameters | None = None
) -> Iterator[Outcome]:
    """Play each policy on the same traffic and seed."""
    for policy in found:
        try:
            whole = parameters(policy, traffic, record, base)
            yield Outcome(policy, simulate(whole, seed), durations=whole.function.invocations.label)
        except ImpossibleParametersError as refusal:
            yield Outcome(policy, None, str(refusal))


def again(
    found: Iterable[Policy],
    traffic: Traffic,
    record: dict[str, Any],
    seeds: Iterable[int],
    base: Parameters | None = None,
) -> dict[str, list[dict[str, Any]]]:
    """What decides between policies, by their names, once more with each of other seeds: other draws of the same story.

    Raises ImpossibleParametersError.
    """
    drawn = list(seeds)
    return {
        policy.name: [
            {
                "seed": result.seed,
                "latency_p99_ms": result.latency_p99_ms,
                "usd": str(result.dollars["total"]),
                "lost": result.parked + result.dead_lettered + result.unsettled,
            }
            for result in (simulate(parameters(policy, traffic, record, base), seed) for seed in drawn)
        ]
        for policy in found
    }
