"""`acme-manager-server`: reads the command line and the configuration, then runs a node.

Exit codes: 0 after an orderly stop, 1 when something went wrong, 2 for a command line that can't be used, 130 for an
interrupt that came before the node listened for signals.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog
import trio

from acme_manager import logs
from acme_manager.cli.goflags import read_or_exit
from acme_manager.cli.version import version_block
from acme_manager.config import dotenv
from acme_manager.config.load import load
from acme_manager.config.model import Config, Flags
from acme_manager.errors import AcmeManagerError, ConfigInvalid
from acme_manager.structure import leaves

PROGRAM = "acme-manager-server"
_NEW_OBJECTS = 10_000  # that have not been freed, between two collections of the youngest; Python's default is 700
_INTERRUPTED = 130  # what a shell says of a program that SIGINT has ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server and return its exit code; a command line that asks for help or is wrong raises SystemExit."""
    flags = read_or_exit(Flags, PROGRAM, sys.argv[1:] if arguments is None else arguments)
    if flags.version:
        print(version_block(PROGRAM), end="")
        return 0
    logs.configure(flags.log_level, flags.log_format, sys.stderr.buffer if _prints(flags) else None)
    try:
        return _run(flags)
    except (Exception, BaseExceptionGroup, KeyboardInterrupt) as error:  # noqa: BLE001 it ends here, with one line
        return _report(error)


def _run(flags: Flags) -> int:
    # What a branch needs is imported in it: checking a file should not wait for the whole server.
    if flags.dev and not flags.config_check:
        from acme_manager.dev.run import serve_dev  # noqa: PLC0415

        trio.run(serve_dev, flags)
        return 0
    if flags.dns_list or flags.dns_show:
        from acme_manager.cli import dns_commands  # noqa: PLC0415

        dns_commands.show_provider(flags.dns_show) if flags.dns_show else dns_commands.list_providers()
        return 0
    environ = _environ(flags, os.environ)
    if flags.config_check:
        return _check(flags, environ)
    config = load(flags.config_path, environ, allow_unverified_plugins=flags.allow_unverified_plugins)
    _warn_of_plugins(config)
    if flags.account_rollover:
        from acme_manager.cli.rollover import roll_over  # noqa: PLC0415

        trio.run(roll_over, config, flags.account_rollover)
        return 0
    if flags.dns_check:
        from acme_manager.cli.dns_commands import check_provider  # noqa: PLC0415

        trio.run(check_provider, config, flags.dns_check)
        return 0
    if flags.cleanup_dry_run:
        from acme_manager.cli.cleanup import show_cleanup  # noqa: PLC0415

        trio.run(show_cleanup, config, flags)
        return 0
    gc.disable()  # it would look for garbage in modules, for a tenth of the time until we listen
    from acme_manager.app import serve  # noqa: PLC0415

    _spare_collections()
    trio.run(serve, config, flags)
    return 0


def _prints(flags: Flags) -> bool:
    """Whether standard output is for what was asked, so that the log must go elsewhere."""
    return bool(flags.cleanup_dry_run or flags.dns_list or flags.dns_show or flags.dns_check)


def _spare_collections() -> None:
    """Let the garbage collector pass over what has been imported, and look at new objects less often.

    By default it walks through all modules again and again, for some percent of the CPU time of a busy server.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)
    gc.enable()


def _environ(flags: Flags, process: Mapping[str, str]) -> dict[str, str]:
    """The variables of the process over those of `.env`; of a file that can't be read nothing is taken."""
    log, path = structlog.get_logger(__name__), flags.env_config_path
    try:
        return dotenv.overlay(process, dotenv.read(Path(path)))
    except FileNotFoundError:
        log.debug("no file with variables", path=path)
    except (OSError, dotenv.DotenvInvalid) as error:
        log.warning("file with variables ignored, none of it is set", path=path, err=str(error))
    return dict(process)


def _check(flags: Flags, environ: Mapping[str, str]) -> int:
    """`-config-check`: what is wrong, a line each, for people and for scripts."""
    try:
        load(flags.config_path, environ, allow_unverified_plugins=flags.allow_unverified_plugins)
    except ConfigInvalid as error:
        print("\n".join(map(str, error.complaints)))
        return 1
    print("config file is valid")
    return 0


def _warn_of_plugins(config: Config) -> None:
    for plugin in config.common.plugins:
        if not plugin.checksum:
            structlog.get_logger(__name__).warning("plugin without checksum accepted", plugin=plugin.name)


def _report(error: BaseException) -> int:
    """Say why the program ends. Errors we foresee need no traceback, the others do."""
    log, found = structlog.get_logger(__name__), leaves(error)
    if any(isinstance(leaf, KeyboardInterrupt) for leaf in found):
        return _INTERRUPTED
    for leaf in found:
        if isinstance(leaf, SystemExit):
            raise leaf
    for invalid in (leaf for leaf in found if isinstance(leaf, ConfigInvalid)):
        for complaint in invalid.complaints:
            log.error("invalid configuration", source=invalid.source, where=complaint.where, err=complaint.message)
    others = [leaf for leaf in found if not isinstance(leaf, ConfigInvalid)]
    if others:
        unforeseen = not all(isinstance(leaf, AcmeManagerError | OSError) for leaf in others)
        said = "; ".join(dict.fromkeys(f"{type(leaf).__name__}: {leaf}" for leaf in others))
        log.error("ended by an error", err=said, **({"exc_info": error} if unforeseen else {}))
    return 1
