"""``workbench``: the same runs as on the page, from a shell.

Exit codes: 0 fine, 1 the run failed or was stopped, 2 bad input. Nothing a user can cause shows a
traceback. With ``--json`` the standard output carries JSON only; words go to the standard error.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from workbench.cli import (
    catalogue,
    check,
    compare,
    control,
    export,
    inspect,
    queue,
    run,
    serve,
    space,
    touch,
)
from workbench.errors import WorkbenchError

app = typer.Typer(
    name="workbench",
    help="Knowledge distillation that you see live, touch while it runs, and replay.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
COMMANDS = (run, check, queue, control, compare, touch, export, inspect, space, catalogue, serve)
for module in COMMANDS:
    module.register(app)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the ``workbench`` command."""
    try:
        app(args=None if arguments is None else list(arguments), standalone_mode=True)
    except WorkbenchError as error:
        print(f"workbench: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # `workbench runs | head`
        sys.stderr.close()
        sys.exit(0)


if __name__ == "__main__":
    main()
