"""The command ``hwnas``: data on stdout, everything else on stderr.

Only what parsing needs is imported here; a command imports the rest when it runs.
"""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import Any

__all__ = ["main"]

EPILOG = """exit status: 0 done, 1 internal error, 2 usage or configuration,
3 not found or an unknown name, 4 nothing feasible under the budgets, 5 verification failed,
6 too many trials failed, 7 data corrupt,
130 interrupted (saved; the line that goes on is printed)"""


PICK = "WHAT[,NAME<=VALUE...]"
PICKS = """knee, all, representative, least:NAME, most:NAME (of what is maximised) or an id, of the
members that keep to the limits after it, such as 'least:quality,macs<=1e6'"""

COMPARE = """Compare one cost objective with many. Of an experiment: searches that each follow one
indicator against one that follows all, on the same space, evaluations and seeds, and null arms. Of
a table of models: what each single cost would recommend, how two costs rank models (Kendall's tau),
who is on which front, which pairs of models flip, and who wins at equal cost."""

IMPORTS = "import_commands"
IMPORT = """Make a profile of measurements that others published: a table with a row for each
architecture, columns that describe it, and its measured latency. A regression is fitted to the
rows and certified by cross-validation, each architecture predicted without its own rows. `hwnas
profile list` and `show` print that certificate; `hwnas profile predict` prices other values of the
same columns, within what was measured. Rows of such a table are no blocks, so architectures of
hwnas are not priced with it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command in ("search", "compare") and bool(options.experiment) == bool(options.table):
        asked = "both are given" if options.table else "neither is given"
        options.parser.error(
            f"it takes either EXPERIMENT.toml or --table FILE in its place; {asked}. "
            f"`hwnas {options.command} --help` says what goes with which."
        )
    typed = sys.argv[1:] if arguments is None else arguments
    options.line = shlex.join(["hwnas", *map(str, typed)])
    from nas.errors import exit_status

    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        commands = import_module(f"nas.{options.module}")
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

    def command(
        name: str, text: str, function: str, under: Any = commands, module: str = "commands"
    ) -> Any:
        added = under.add_parser(name, help=text, description=text)
        added.set_defaults(command=function, module=module, parser=added)
        return added

    search = command("search", "Run an experiment and print its Pareto set.", "search")
    search.add_argument("experiment", metavar="EXPERIMENT.toml", nargs="?")
    search.add_argument(
        "--table", metavar="FILE", help="a table of configurations in its place: CSV or NPZ"
    )
    search.add_argument("--quality", metavar="COLUMN[:max]", help="of the table: what is unknown")
    search.add_argument(
        "--costs", metavar="A,B", help="of the table: columns, each with :max or not"
    )
    search.add_argument("--config", metavar="P,Q", help="of the table: what a configuration is")
    search.add_argument("--out", metavar="DIR", help="run folder (default: runs/NAME)")
    search.add_argument("--trials", type=int, metavar="N", help="distinct candidates to evaluate")
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
    pareto.add_argument(
        "--budget",
        action="append",
        default=[],
        metavar="NAME<=VALUE",
        help="find the set of what was trained under this budget, training nothing; a name may end "
        "in another unit (latency_ms@local<=2); >= for what is maximised; may be repeated",
    )
    pareto.add_argument("--pick", metavar=PICK, help=f"print only these members: {PICKS}")
    _json(pareto)

    cost = command(
        "cost", "Print every indicator of one architecture.", "cost", module="cost_commands"
    )
    cost.add_argument("architecture", metavar="ARCH", help="a JSON file, a preset, or a run folder")
    cost.add_argument("candidate", nargs="?", metavar="ID", help="a member of the run's set")
    cost.add_argument(
        "--batch-size", type=int, help="of the training indicators (default: the run's, or 64)"
    )
    cost.add_argument("--optimizer", metavar="NAME", help="likewise (default: the run's, or adamw)")
    cost.add_argument(
        "--profile",
        action="append",
        default=[],
        metavar="PROFILE[:SETTING]",
        help="a device to price it on; may be repeated (default: the run's, or local)",
    )
    cost.add_argument(
        "--stages", type=int, metavar="N", help="devices of a pipeline that trains it: its bubble"
    )
    cost.add_argument("--micro-batches", type=int, metavar="N", help="of a step in the pipeline")
    cost.add_argument(
        "--schedule", default="1f1b", metavar="NAME", help="1f1b (default), gpipe or interleaved"
    )
    cost.add_argument(
        "--chunks", type=int, metavar="N", help="of each device, interleaved (default: 2)"
    )
    _json(cost)

    footprint = command(
        "footprint",
        "Print what one or two architectures take over their lives: energy, carbon and money.",
        "footprint",
        module="cost_commands",
    )
    footprint.add_argument("architecture", metavar="ARCH", help="a JSON file or a preset")
    footprint.add_argument("other", nargs="?", metavar="ARCH", help="another one: who breaks even")
    footprint.add_argument("--profile", required=True, metavar="PROFILE[:SETTING]", help="device")
    footprint.add_argument("--queries", type=float, required=True, metavar="N", help="in a life")
    footprint.add_argument(
        "--train-steps", type=int, default=0, metavar="N", help="of its training (default: 0)"
    )
    footprint.add_argument(
        "--train-profile", metavar="PROFILE[:SETTING]", help="where it is trained, if elsewhere"
    )
    footprint.add_argument("--chips", type=int, default=1, metavar="N", help="chips that train it")
    footprint.add_argument("--pue", type=float, metavar="X", help="of the data centre")
    footprint.add_argument("--carbon-intensity", type=float, metavar="G", help="g of CO2e a kWh")
    footprint.add_argument("--price", type=float, metavar="USD", help="of a chip for an hour")
    _json(footprint)

    _compare(
        command(
            "compare",
            "Compare one cost objective with many: searches, or a table of models.",
            "compare",
            module="compare_commands",
        )
    )

    export = command("export", "Write members of a run's set as verified ONNX.", "export")
    export.add_argument("run", metavar="RUN")
    export.add_argument(
        "--pick", default="knee", metavar=PICK, help=f"which members (default: knee): {PICKS}"
    )
    export.add_argument("--out", metavar="DIR", help="default: RUN/exports")
    export.add_argument(
        "--verify-only",
        action="store_true",
        help="verify files that were exported before, and remove those that differ",
    )
    _json(export)

    profile = commands.add_parser("profile", help="Measure, show and validate hardware profiles.")
    actions = profile.add_subparsers(title="actions", metavar="ACTION", required=True)

    def action(name: str, text: str, module: str = "profile_commands") -> Any:
        return command(name, text, f"profile_{name}", actions, module)

    measure = action("measure", "Measure and certify a table of this machine for a space.")
    measure.add_argument("experiment", nargs="?", metavar="EXPERIMENT.toml", help="its space")
    measure.add_argument(
        "--space",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME",
        help="spaces by name instead (vit_224, mbconv_96, ..., or a family); several as one table",
    )
    measure.add_argument(
        "--also",
        nargs="+",
        action="extend",
        default=[],
        metavar="PRESET",
        help="published networks whose blocks the table is to hold too",
    )
    measure.add_argument("--runtime", metavar="NAME", help="onnxruntime, cudagraph, openvino")
    measure.add_argument("--dtype", metavar="NAME", help="fp32, fp16, ... (default: the runtime's)")
    measure.add_argument("--batch", type=int, metavar="N", help="examples in a run (default: 1)")
    measure.add_argument("--threads", type=int, metavar="N", help="threads of a run on a CPU")
    _quantity(measure)
    measure.add_argument(
        "--minutes", type=float, metavar="N", help="about how long it may take: fewer blocks then"
    )
    measure.add_argument(
        "--certificate", type=int, metavar="N", help="networks of each family that certify it"
    )
    measure.add_argument("--max-blocks", type=int, metavar="N", help="blocks that are timed")
    measure.add_argument(
        "--strict", action="store_true", help="write no table that a busy machine made noisy"
    )
    measure.add_argument("--set", action="append", default=[], metavar="A.B=C")
    measure.add_argument("--out", metavar="FOLDER", help="profile folder (default: local)")
    _import(action("import", "Make a profile of measurements that others published.", IMPORTS))
    listed = action("list", "List the profiles, their settings and certificates.")
    listed.add_argument(
        "profiles", nargs="*", metavar="PROFILE", help="only these, by name or folder"
    )
    _json(listed)
    show = action("show", "Show a profile: device, constants, tables and certificates.")
    _profile(show)
    show.add_argument("--entries", action="store_true", help="every block too")
    show.add_argument(
        "--plot", metavar="FILE", help="draw predicted against measured (.svg or .png)"
    )
    _quantity(show, "of the plot ")
    _json(show)
    validate = action("validate", "Repeat a certificate on networks that it has not seen.")
    _profile(validate)
    validate.add_argument(
        "--networks", type=int, default=30, metavar="N", help="of each family (default: 30)"
    )
    _quantity(validate)
    _json(validate)

    predict = action("predict", "Price a configuration with imported measurements.", IMPORTS)
    predict.description += (
        " It is of the imported table's own columns; architectures of hwnas are priced with tables"
        " of blocks (`hwnas cost --profile`)."
    )
    _profile(predict)
    predict.add_argument(
        "values", nargs="*", metavar="FEATURE=VALUE", help="of one architecture, every feature"
    )
    predict.add_argument("--table", metavar="FILE", help="every row of a table instead")
    _json(predict)

    report = command(
        "report",
        "Write what a run found as one self-contained HTML file.",
        "report",
        module="report_commands",
    )
    report.description += (
        " It has quality against every indicator, the set with every value and its interval, where "
        "indicators disagree, what all of it holds for, and what the search took; it asks no other "
        "machine for anything. A run is the folder of a search or of a comparison."
    )
    report.add_argument("run", metavar="RUN")
    report.add_argument("--out", metavar="FILE.html", help="default: RUN/report.html")
    report.add_argument("--svg", metavar="DIR", help="write each figure as an SVG file too")

    doctor = command("doctor", "Say what here would spoil a measurement or a search.", "doctor")
    _json(doctor)
    return parser


def _compare(parser: argparse.ArgumentParser) -> None:
    parser.description = COMPARE
    parser.add_argument("experiment", metavar="EXPERIMENT.toml", nargs="?")
    parser.add_argument(
        "--match",
        metavar="A,B",
        help="the best model of each family at equal cost: by each of these indicators, and by all",
    )
    parser.add_argument(
        "--at",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="what a cost is to be equal to (default: quartiles of what all families reach); may "
        "be repeated",
    )
    parser.add_argument(
        "--slack",
        type=float,
        default=0.25,
        metavar="SHARE",
        help="how far better than that a cost may be to count as equal (default: 0.25)",
    )
    _json(parser)
    searches = parser.add_argument_group("searches of an experiment")
    searches.add_argument(
        "--arms", metavar="A,B,all", help="indicators that steer one search each, null arms, or all"
    )
    searches.add_argument("--seeds", type=int, metavar="N", help="searches of each arm")
    searches.add_argument(
        "--trials", type=int, metavar="N", help="distinct candidates that each search evaluates"
    )
    searches.add_argument(
        "--out", metavar="DIR", help="folder of the comparison (default: runs/NAME-compare)"
    )
    searches.add_argument("--resume", action="store_true", help="go on with the one in --out")
    searches.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="A.B=C",
        help="override a key of the experiment; may be repeated",
    )
    table = parser.add_argument_group("a table of models")
    table.add_argument("--table", metavar="FILE", help="CSV, gzipped or not, or NPZ")
    table.add_argument("--quality", metavar="COLUMN[:max]", help="how good a model is")
    table.add_argument("--costs", metavar="A,B:max,C", help="columns; :max where more is better")
    table.add_argument(
        "--name", metavar="P,Q", help="what models are called (default: model, name, id, or row)"
    )
    table.add_argument("--family", metavar="COLUMN", help="which family each model is of")
    table.add_argument(
        "--strata", metavar="P,Q", help="columns that tell apart what is not to be mixed"
    )
    table.add_argument(
        "--error",
        action="append",
        default=[],
        metavar="COLUMN=SIZE",
        help="measurement error, within which two models tie: 5%% of the smaller, or 0.1 in the "
        "column's unit; may be repeated",
    )
    table.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="COLUMN=VALUE",
        help="only rows with this value; may be repeated, also for several values of a column",
    )
    table.add_argument(
        "--derive",
        action="append",
        default=[],
        metavar="NEW=COLUMN~PATTERN",
        help="a new column: what a regular expression finds in another one, or the name of the "
        "group that matched, (?P<name>...); may be repeated",
    )
    table.add_argument(
        "--unique",
        metavar="P,Q",
        help="of rows that are equal in these only the best is kept; "
        "name strata too, or one loses rows to another",
    )
    table.add_argument(
        "--complete",
        action="store_true",
        help="only rows with a value in every column (default: each pair of columns uses what it "
        "has)",
    )


def _import(parser: argparse.ArgumentParser) -> None:
    parser.description = IMPORT
    parser.add_argument("table", metavar="TABLE", help="a .csv, .csv.gz, .npz or .json file")
    parser.add_argument(
        "--latency", metavar="COLUMN:UNIT", help="measured latencies and their unit: s, ms, us, ns"
    )
    parser.add_argument(
        "--features",
        nargs="+",
        action="extend",
        default=[],
        metavar="COLUMN",
        help="columns that describe an architecture; COLUMN:name for names that are numbers, "
        "COLUMN:list for lists such as 4,8,8",
    )
    parser.add_argument(
        "--where",
        nargs="+",
        action="extend",
        default=[],
        metavar="COLUMN=VALUE",
        help="only rows with these values, such as one device of several",
    )
    parser.add_argument(
        "--in-order",
        action="store_true",
        help="rows stand in the order of their measurement: a throttled device is told from the "
        "architectures",
    )
    parser.add_argument(
        "--folds", type=int, default=5, metavar="N", help="of the cross-validation (default: 5)"
    )
    parser.add_argument(
        "--out", metavar="FOLDER", help="profile folder (default: one that list finds by itself)"
    )
    parser.add_argument("--setting", metavar="NAME", help="its name there (default: the table's)")
    _json(parser)


def _profile(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "profile",
        metavar="PROFILE[:SETTING]",
        help="local (this machine), a shipped one, or a folder; a setting as list names it",
    )


def _quantity(parser: argparse.ArgumentParser, what: str = "") -> None:
    parser.add_argument(
        "--quantity",
        default="latency_s",
        metavar="NAME",
        help=f"quantity {what}(default: latency_s; decode_step_s, train_step_s, energy_j, ...)",
    )


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
