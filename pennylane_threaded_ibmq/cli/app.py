"""The commands under one name, completion of their words, and what an error becomes."""

from __future__ import annotations

import errno
import sys
from typing import Any

import click
from click.shell_completion import get_completion_class

from .._printable import printable
from .._version import __version__
from .account import backends_command, config_command
from .budget import budget_command
from .doctor import doctor_command
from .estimate import estimate_command
from .journal import batches_command, cancel_command, prune_command, show_command
from .look import report_command, serve_command
from .options import Command, unraw
from .output import plain_warnings, printable_records
from .rehearse import rehearse_command
from .resume import resume_command
from .timeline import timeline_command


@click.command("completion", cls=Command, short_help="Print what a shell needs to complete commands.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion_command(ctx: click.Context, shell: str) -> None:
    r"""Print what a shell needs to complete commands and options.

    \b
    Examples:
      echo 'eval "$(threaded-ibmq completion bash)"' >> ~/.bashrc
      threaded-ibmq completion fish > ~/.config/fish/completions/threaded-ibmq.fish
    """
    completion = get_completion_class(shell)
    assert completion is not None
    command = ctx.find_root().command
    click.echo(completion(command, {}, "threaded-ibmq", "_THREADED_IBMQ_COMPLETE").source())


COMMANDS = (
    doctor_command,
    config_command,
    backends_command,
    budget_command,
    estimate_command,
    rehearse_command,
    batches_command,
    show_command,
    timeline_command,
    serve_command,
    report_command,
    resume_command,
    cancel_command,
    prune_command,
    completion_command,
)
"""In the order of the help: look, plan, come back."""


FULL_OR_FORBIDDEN = {errno.ENOSPC, errno.EACCES, errno.EPERM, errno.EROFS}
"""What the system says of a disk without room or rights."""


class Commands(click.Group):
    """A group whose commands keep their order, and whose expected errors have no traceback."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.help = unraw(self.help)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Names in the order of the help."""
        return [str(command.name) for command in COMMANDS if command.name in self.commands]

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            with printable_records(), plain_warnings():
                return super().invoke(ctx)
        except click.ClickException as error:
            if type(error) is not click.ClickException:
                raise  # what is wrong with the words of the command, and their own text
            raise click.ClickException(printable(error.message, lines=True)) from None
        except ModuleNotFoundError as error:
            raise click.ClickException(
                f"{error.name} is not installed. threaded-ibmq doctor tells what is."
            ) from None
        except OSError as error:
            if error.errno not in FULL_OR_FORBIDDEN:
                raise
            raise click.ClickException(
                f"{error.filename or 'standard output'} cannot be used: {error.strerror}."
            ) from None
        except Exception as error:
            # an error of our tree can only exist once its module was imported, which takes seconds
            ours = sys.modules.get(f"{__package__.rpartition('.')[0]}.exceptions")
            if ours is None or not isinstance(error, ours.ThreadedIBMQError):
                raise
            raise click.ClickException(str(error)) from None

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command; for a wrong name, one that is near is offered."""
        command = super().get_command(ctx, cmd_name)
        if command is None and not ctx.resilient_parsing:
            from difflib import get_close_matches

            near = get_close_matches(cmd_name, self.commands, n=1)
            if near:
                ctx.fail(f"No such command {cmd_name!r}. Did you mean {near[0]!r}?")
        return command


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit code: 0 done, 1 failed, 2 wrong usage. Every command has --help with examples; those that answer have --json.",
)
@click.version_option(__version__, prog_name="threaded-ibmq")
def main() -> None:
    r"""Run PennyLane batches on IBM Quantum: check, plan, rehearse, and come back.

    \b
      threaded-ibmq doctor                                   is everything ready?
      threaded-ibmq estimate train.py                        what would it cost?
      threaded-ibmq rehearse --queue 30s -- python train.py  what would happen?
      threaded-ibmq batches                                  what was sent?
    """


for _command in COMMANDS:
    main.add_command(_command)
