"""`acme-manager-client`: keeps the certificates of this host right, or answers one question.

Exit codes: 0 all is well, 1 the configuration can't be used or something went wrong, 2 a command line that can't be
used, 3 no server gave an answer, 4 a step failed (the others were done), 5 a command before or after a change failed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog
import trio

from acme_manager import logs
from acme_manager.cli.goflags import HELP, read_or_exit, refuse
from acme_manager.cli.version import version_block
from acme_manager.client import agent
from acme_manager.client.config import load_client
from acme_manager.client.desk import COMMANDS, Desk
from acme_manager.client.flags import ClientFlags
from acme_manager.client.importing import import_from
from acme_manager.client.manager import ManagerUnavailable
from acme_manager.client.metrics import ClientMetrics
from acme_manager.client.run import INVALID, OK, UNREACHABLE, Runner
from acme_manager.clock import SystemClock
from acme_manager.config.flag import Kind, flags_of
from acme_manager.errors import AcmeManagerError, ConfigInvalid
from acme_manager.metrics import new_registry
from acme_manager.structure import leaves

PROGRAM = "acme-manager-client"
_TAKE_A_WORD = {flag.name for flag in flags_of(ClientFlags) if flag.kind is not Kind.BOOL}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the agent or a command, and return its exit code; a wrong command line raises SystemExit."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    given = 0
    while given < len(words) and not words[given].startswith("-"):
        given += 1
    command, *names = words[:given] or [""]
    late = next((word for word in words[given:] if word in COMMANDS), "")
    if late and not command and words[words.index(late) - 1].lstrip("-") not in _TAKE_A_WORD:
        refuse(ClientFlags, PROGRAM, f"a command comes before the flags: {PROGRAM} {late} …")
    if set(words) & HELP:
        print(f"{PROGRAM} [{' | '.join(COMMANDS)}] [flags]; without a command it is the agent.\n")
    flags = read_or_exit(ClientFlags, PROGRAM, words[given:])
    if flags.version:
        print(version_block(PROGRAM), end="")
        return OK
    try:
        _ = flags.most_deletions
    except ValueError as error:
        refuse(ClientFlags, PROGRAM, f"invalid value for flag -client.max-deletions: {error}")
    if command and command not in COMMANDS:
        refuse(ClientFlags, PROGRAM, f"unknown command '{command}'; there are: {', '.join(COMMANDS)}")
    asked = bool(command) or flags.dry_run or bool(flags.import_from)
    logs.configure(flags.log_level if not asked else "warn", flags.log_format, sys.stderr.buffer if asked else None)
    if flags.manager_token:
        structlog.get_logger(__name__).warning(
            "every user of this host can see -client.manager-token; -client.token-file is a safer place"
        )
    try:
        return _check(flags, os.environ) if flags.config_check else _run(flags, command, names)
    except (Exception, BaseExceptionGroup, KeyboardInterrupt) as error:  # noqa: BLE001 it ends here, with a line
        return _report(error)


def _run(flags: ClientFlags, command: str, names: Sequence[str]) -> int:
    clock, registry = SystemClock(), new_registry("client")
    runner = Runner(flags=flags, environ=os.environ, metrics=ClientMetrics(registry, clock.now), clock=clock)
    if command:
        return trio.run(Desk(runner=runner).answer, command, names)
    if flags.import_from:
        code, text = trio.run(import_from, runner, Path(flags.import_from))
        print(text)
        return code
    if flags.dry_run:
        return trio.run(Desk(runner=runner).dry_run)
    load_client(Path(flags.config_path), os.environ)  # a wrong file ends it at the start only; later it is an error
    if flags.once:
        return trio.run(agent.run_once, runner)
    trio.run(agent.serve, runner, registry)
    return OK


def _check(flags: ClientFlags, environ: Mapping[str, str]) -> int:
    try:
        loaded = load_client(Path(flags.config_path), environ)
    except ConfigInvalid as error:
        print("\n".join(map(str, error.complaints)))
        return INVALID
    for warning in loaded.warnings:
        print(f"warning: {warning}")
    print("config file is valid")
    return OK


def _report(error: BaseException) -> int:
    """Say why the program ends. Errors we foresee need no traceback, the others do."""
    log, found = structlog.get_logger(__name__), leaves(error)
    if any(isinstance(one, KeyboardInterrupt) for one in found):
        return 130
    for one in found:
        if isinstance(one, SystemExit):
            raise one
        if isinstance(one, ConfigInvalid):
            for complaint in one.complaints:
                log.error("invalid configuration", source=one.source, where=complaint.where, err=complaint.message)
        elif isinstance(one, AcmeManagerError | OSError):
            log.error("ended by an error", err=str(one))
        else:
            log.error("ended by an error", err=f"{type(one).__name__}: {one}", exc_info=one)
    return UNREACHABLE if all(isinstance(one, ManagerUnavailable) for one in found) else INVALID
