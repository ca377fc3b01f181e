"""The dev.* tasks: lint, tests, benchmarks and chaos. They need a checkout with the `dev` extra."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from invoke import Collection, Context, Exit, task

CHECKOUT = Path(__file__).resolve().parents[1]


@task
def lint(c: Context) -> None:
    """Check style with ruff and types with mypy."""
    for tool, *words in (["ruff", "check", "."], ["mypy"]):
        if subprocess.run([sys.executable, "-m", tool, *words], check=False, cwd=CHECKOUT).returncode:
            raise Exit(f"{tool} failed", code=1)


@task(help={"rounds": "How often each whole process is run.", "questions": "How many answers of the gate."})
def bench_verbs(c: Context, rounds: int = 15, questions: int = 1000) -> None:
    """Measure whole processes, the gate and rendering in one run, beside their bounds."""
    from bench.foundation import main

    main(rounds=rounds, questions=questions)


@task(help={"appends": "How many records are appended of each kind.", "records": "How many are verified."})
def bench_history(c: Context, appends: int = 2000, records: int = 100_000) -> None:
    """Measure the history: an append, a verification, and a day of a dashboard compressed."""
    from bench.records import main

    main(appends=appends, records=records)


@task(help={"rounds": "How often each history is audited."})
def bench_audit(c: Context, rounds: int = 5) -> None:
    """Measure an audit over a long history, and one three times as long: its time and its memory."""
    from bench.auditing import main

    main(rounds=rounds)


@task(pre=[bench_verbs, bench_history, bench_audit])
def bench(c: Context) -> None:
    """Measure the verbs, the gate, the history and the audit: all that needs nothing running."""


@task(help={"engine": "docker or local; both without it.", "rounds": "How often each process is run."})
def bench_plan(c: Context, engine: str = "", rounds: int = 15) -> None:
    """Measure plan on a stack that runs, and what asking the engine takes of it."""
    from bench.planning import ENGINES, main

    main([engine] if engine else ENGINES, rounds=rounds)


@task(help={"engine": "docker or local; both without it.", "looks": "How often the dashboard looks."})
def bench_status(c: Context, engine: str = "", looks: int = 5000) -> None:
    """Measure one refresh of the dashboard, and its memory when it is left on."""
    from bench.looking import ENGINES, main

    main([engine] if engine else ENGINES, looks=looks)


@task(
    help={
        "engine": "docker or local; both without it.",
        "rate": "Requests a second.",
        "every": "Seconds between two looks.",
    }
)
def bench_metrics(c: Context, engine: str = "", rate: float = 1000.0, every: float = 5.0) -> None:
    """Measure a look at nginx's access log under load, and its window."""
    from bench.log_looks import ENGINES, main

    main([engine] if engine else ENGINES, rate=rate, every=every)


@task(
    help={
        "engine": "local, or docker for the clients alone.",
        "idle": "Connections that are held.",
        "busy": "Clients that ask meanwhile.",
    }
)
def bench_proxy(c: Context, engine: str = "local", idle: int = 10_000, busy: int = 2_000) -> None:
    """Measure the clients that nginx holds, and its throughput beside an nginx made by hand."""
    from bench.proxy import main

    main(engine, idle=idle, busy=busy)


@task(help={"changes": "Changes of either kind.", "sockets": "How many are open."})
def bench_sockets(c: Context, changes: int = 20, sockets: int = 100) -> None:
    """Measure nginx's workers and memory over many changes while WebSockets are open."""
    from bench.open_sockets import main

    main(changes=changes, sockets=sockets)


@task(help={"engine": "docker or local; both without it.", "mebibytes": "The size of the download."})
def bench_download(c: Context, engine: str = "", mebibytes: int = 1024) -> None:
    """Download to a slow client: whether it is whole, and what nginx stores meanwhile."""
    from bench.big_download import ENGINES, main

    main([engine] if engine else ENGINES, mebibytes=mebibytes)


@task(help={"rounds": "How often each kind takes its turn.", "seconds": "How long one turn takes."})
def bench_sticky(c: Context, rounds: int = 16, seconds: float = 3.0) -> None:
    """Measure what it costs nginx to keep a client on one slot."""
    from bench.sticky import main

    main(rounds=rounds, seconds=seconds)


@task(
    help={
        "engine": "docker or local; both without it.",
        "size": "short, usual or full.",
        "rate": "Requests a second; without it, those of the size.",
    }
)
def bench_rollover(c: Context, engine: str = "", size: str = "usual", rate: int = 0) -> None:
    """Change what runs under load: failed requests, shares, sick canaries, seconds of a promote."""
    from bench.rollover import ENGINES, main

    main([engine] if engine else ENGINES, size=size, rate=rate)


@task(
    help={
        "engine": "docker or local; both without it.",
        "trials": "How often a verb is struck on each engine.",
        "seed": "Repeats a run: the same strikes in the same order.",
    }
)
def chaos(c: Context, engine: str = "", trials: int = 100, seed: int = 1) -> None:
    """Kill verbs at every step, under load, and check that the next verb recovers."""
    from bench.chaos import ENGINES, main

    if broken := main([engine] if engine else ENGINES, trials=trials, seed=seed):
        raise Exit(f"{broken} trials broke an invariant", code=1)


@task
def pictures(c: Context) -> None:
    """Make docs/pictures/ from a project that runs: the report and the dashboard."""
    from bench.pictures import main

    main()


ns = Collection(
    "dev",
    lint,
    bench,
    bench_verbs,
    bench_history,
    bench_audit,
    bench_plan,
    bench_status,
    bench_metrics,
    bench_proxy,
    bench_sticky,
    bench_sockets,
    bench_download,
    bench_rollover,
    chaos,
    pictures,
)
