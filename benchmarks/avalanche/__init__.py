"""The cold-start avalanche: a million customers at midnight, simulated with AWS's published rules and our cold starts.

    from benchmarks.avalanche.lab import invocations_of, newest_record
    from benchmarks.avalanche.parameters import Function, Parameters, Traffic
    from benchmarks.avalanche.simulation import simulate

    work = invocations_of(newest_record(), engine="compiled", memory_size=512, stress_mode="cold_start")
    result = simulate(Parameters(Traffic(messages=10_000, groups=1_000), Function(work, memory_size=512)), seed=1)
    result.completion_seconds, result.latency_p99_ms, result.cold_share, result.dollars["total"]

- `parameters`: what is simulated, as frozen dataclasses; what AWS would refuse raises ImpossibleParametersError, whose
  message names the rule. Policies are compared by `dataclasses.replace` on one Parameters and one seed. The local
  system is `Mapping(shares_out=True, growth=False, maximum_concurrency=n)`.
- `distributions`: what durations are drawn from, measured samples or a formula.
- `lab`: durations of the function from the cold-start lab's records.
- `rules`: AWS's rules, a small function each, with its page.
- `traffic`: when which message of which group is sent.
- `fifo`, `charges`, `simulation`: the queue, what the function does with a batch, and `simulate(parameters, seed)`, the
  event queue over batches; no input or output but the price list.
- `result`, `dollars`: one `Result` with counts, latencies, dollars and a series by the second; `as_document()` is JSON,
  `arrays` has every message and every invocation.
- `policies`: ways to run the function, and `compare`, which plays each on the same traffic; `command` is their command
  line, `make avalanche-simulation`.
- `bars`, `comparisons`, `peers`: what the simulator itself takes, beside SimFaaS and SimPy.
- `known_queues`: M/M/1, M/M/c and M/D/1 through the same core, against their known answers.

One rule: the same parameters and seed give the same result. Times are whole microseconds, and each kind of draw has a
stream of its own, so that two policies meet the same traffic.
"""
