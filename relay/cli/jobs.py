"""`relay jobs`: lists jobs, shows one, cancels one; and follows one for the command that started it."""

import time
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from relay.cli.guard import Unreachable, complain, warn
from relay.cli.options import AsJson, Config, Token, Url

if TYPE_CHECKING:
    from relay.cli.client import Client

_FIRST: Final = 0.05
_LONGEST: Final = 1.0
"""Seconds between two looks at a job: short at first, because a short job ends soon."""
_TRIES: Final = 30
_INTERRUPTED: Final = 130


def jobs(
    job_id: Annotated[str, typer.Argument(metavar="ID", help="The id of a job, or its end.", show_default=False)] = "",
    cancel: Annotated[bool, typer.Option("--cancel", help="End this job. What it has made stays.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=500, help="The most jobs to list.")] = 50,
    url: Url = None,
    token: Token = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List jobs, newest first; show one, or end it with --cancel."""
    from relay.cli.client import connect, segment
    from relay.cli.output import print_json

    if cancel and not job_id:
        raise typer.BadParameter("goes with the id of a job; `relay jobs` lists them", param_hint="--cancel")
    client = connect(url, token, config)
    if not job_id:
        document = client.get("jobs", limit=limit)
        return print_json(document) if as_json else _print_list(document["jobs"])
    path = f"jobs/{segment(job_id)}"
    job = client.post(f"{path}/cancel") if cancel else client.get(path)
    return print_json(job) if as_json else _print(job)


def follow(client: "Client", job: dict[str, Any], *, detach: bool, as_json: bool) -> None:
    """Follow a job to its end and print it. The exit code is 1 unless all of it was done."""
    from relay.cli.output import print_json

    if not detach:
        job = _wait(client, job)
    if as_json:
        print_json(job)
    else:
        _print(job)
    if not job["total"] and not as_json:
        span = f"from {job['since']} to {job['until']}"
        warn(f"relay: nothing was accepted {span} that fits; `relay events` lists what was")
    if job["state"] == "running":
        return
    if job["state"] != "done":
        complain(f"job {job['id']} is {job['state']}", 1)
    if job["failed"]:
        fault = job["fault"]
        example = f"; the last one is {fault['eventId']}: {fault['message']}" if fault else ""
        complain(f"{job['failed']:,} events failed{example}; correct the rule and replay again", 1)


def _wait(client: "Client", job: dict[str, Any]) -> dict[str, Any]:
    from relay.cli.progress import Progress

    progress, seconds, tries, began = Progress(), _FIRST, 0, time.monotonic()
    hint = f"`relay jobs {job['id']}` shows it, `relay jobs --cancel {job['id']}` ends it"
    try:
        while job["state"] == "running":
            progress.show(_line(job, time.monotonic() - began))
            time.sleep(seconds)
            seconds = min(2 * seconds, _LONGEST)
            try:
                job, tries = client.get(f"jobs/{job['id']}"), 0
            except Unreachable as error:
                tries += 1
                if tries > _TRIES:
                    raise Unreachable(f"{error}; the job goes on when the relay does: {hint}") from None
    except KeyboardInterrupt:
        progress.end()
        warn(f"relay: the job goes on; {hint}")
        raise typer.Exit(_INTERRUPTED) from None
    finally:
        progress.end()
    return job


def _line(job: dict[str, Any], seconds: float) -> str:
    """`120 of 4,000 events (3%), 80 chats, 40 skipped, 0 failed, about 2m left`."""
    from relay.units import show

    done, total = job["done"], job["total"]
    text = f"{done:,} of {total:,} events ({100 * done // max(1, total)}%), {job['made']:,} chats"
    text += f", {job['skipped']:,} skipped, {job['failed']:,} failed"
    if done and done < total and seconds > 2:
        text += f", about {show(1_000 * seconds * (total - done) / done)} left"
    return text


def _print(job: dict[str, Any]) -> None:
    from relay.cli.output import print_pairs, short

    fault = job["fault"]
    would = "would make" if job["dryRun"] else "made"
    only = {name: job[name] for name in ("source", "rule", "label") if job[name]}
    print_pairs(
        [
            ("job", job["id"]),
            ("kind", f"{job['kind']} (dry run: nothing is made)" if job["dryRun"] else job["kind"]),
            ("state", job["state"]),
            ("events", f"{job['done']:,} of {job['total']:,}, accepted {short(job['since'])} to {short(job['until'])}"),
            ("only", [f"{name} {value}" for name, value in only.items()]),
            (would, f"{job['made']:,}"),
            ("by rule", [f"{name}: {count:,}" for name, count in job["rules"].items()]),
            ("skipped", f"{job['skipped']:,}"),
            ("failed", f"{job['failed']:,}"),
            (
                "last failure",
                fault and f"{fault['message']}" + (f" (event {fault['eventId']})" if fault["eventId"] else ""),
            ),
            ("by", job["actor"]),
            ("started", job["startedAt"]),
            ("ended", job["endedAt"]),
        ]
    )


def _print_list(listed: list[dict[str, Any]]) -> None:
    from relay.cli.output import print_line, print_table, short

    if not listed:
        return print_line("no jobs")
    return print_table(
        ["id", "kind", "state", "events", "made", "skipped", "failed", "by", "started", "ended"],
        [
            (
                *(job["id"], f"{job['kind']}{' (dry run)' if job['dryRun'] else ''}", job["state"]),
                *(f"{job['done']} of {job['total']}", job["made"], job["skipped"], job["failed"], job["actor"]),
                *(short(job["startedAt"]), short(job["endedAt"])),
            )
            for job in listed
        ],
        spare=("skipped", "by", "started", "ended"),
    )
