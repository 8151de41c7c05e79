"""``threaded-ibmq completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from .helping import Command


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
