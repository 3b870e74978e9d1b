"""The command ``hwnas``: data on stdout, everything else on stderr.

Only what parsing needs is imported here; a command imports the rest when it runs.
"""

from __future__ import annotations

import argparse
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import Any

__all__ = ["main"]

EPILOG = """exit status: 0 done, 1 internal error, 2 usage or configuration,
3 not found or an unknown name, 4 nothing feasible under the budgets, 5 verification failed,
6 too many trials failed, 7 data corrupt,
130 interrupted (saved; the line that goes on is printed)"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    from nas import commands
    from nas.errors import exit_status

    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        status: int = getattr(commands, options.command)(options)
        return status
    except BrokenPipeError:  # The reader of stdout went away, as `head` does.
        sys.stderr.close()
        return 0
    except (Exception, KeyboardInterrupt) as error:
        status = exit_status(error)
        if status == 1:
            traceback.print_exc()
        print(f"hwnas: {error or 'interrupted'}", file=sys.stderr)
        return status
    finally:
        signal.signal(signal.SIGTERM, previous)


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hwnas",
        description="Hardware-aware neural architecture search across every cost indicator.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, text: str, function: str, under: Any = commands) -> Any:
        added = under.add_parser(name, help=text, description=text)
        added.set_defaults(command=function)
        return added

    search = command("search", "Run an experiment and print its Pareto set.", "search")
    search.add_argument("experiment", metavar="EXPERIMENT.toml")
    search.add_argument("--out", metavar="DIR", help="run folder (default: runs/NAME)")
    search.add_argument("--trials", type=int, metavar="N", help="distinct candidates to train")
    search.add_argument("--resume", action="store_true", help="go on with the run in --out")
    search.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="A.B=C",
        help="override a key of the experiment; may be repeated",
    )
    _json(search)

    pareto = command("pareto", "Print the Pareto set of a run.", "pareto")
    pareto.add_argument("run", metavar="RUN")
    _json(pareto)

    cost = command("cost", "Print every indicator of one architecture.", "cost")
    cost.add_argument("architecture", metavar="ARCH", help="a JSON file, a preset, or a run folder")
    cost.add_argument("candidate", nargs="?", metavar="ID", help="a member of the run's set")
    cost.add_argument(
        "--batch-size", type=int, help="of the training indicators (default: the run's, or 64)"
    )
    cost.add_argument("--optimizer", metavar="NAME", help="likewise (default: the run's, or adamw)")
    _json(cost)

    export = command("export", "Write members of a run's set as verified ONNX.", "export")
    export.add_argument("run", metavar="RUN")
    export.add_argument("--pick", default="knee", metavar="knee|ID|all", help="default: knee")
    export.add_argument("--out", metavar="DIR", help="default: RUN/exports")
    export.add_argument(
        "--verify-only",
        action="store_true",
        help="verify files that were exported before, and remove those that differ",
    )
    _json(export)

    profile = commands.add_parser("profile", help="Measure and show latency tables.")
    actions = profile.add_subparsers(title="actions", metavar="ACTION", required=True)
    measure = command(
        "measure", "Measure the table of this machine for a space.", "profile_measure", actions
    )
    measure.add_argument("experiment", metavar="EXPERIMENT.toml")
    measure.add_argument("--set", action="append", default=[], metavar="A.B=C")
    listed = command("list", "List the profiles and their tables.", "profile_list", actions)
    _json(listed)
    show = command("show", "Show the tables of a profile.", "profile_show", actions)
    show.add_argument("profile", metavar="PROFILE", help="local: this machine")
    show.add_argument("--entries", action="store_true", help="every block too")
    _json(show)

    doctor = command("doctor", "Say what here would spoil a measurement or a search.", "doctor")
    _json(doctor)
    return parser


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


class _Version(argparse.Action):
    """Prints the version; looked up only when asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str, **kwargs: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, help="print the version and exit")

    def __call__(self, parser: argparse.ArgumentParser, *args: Any, **kwargs: Any) -> None:
        from importlib.metadata import version

        print(f"hwnas {version('hwnas')}")
        parser.exit()
