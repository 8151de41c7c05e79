"""``threaded-ibmq serve`` and ``report``: the journal in a browser."""

from __future__ import annotations

import socket
from pathlib import Path

import click

from .._quantity import quantity
from .journal import open_journal
from .options import Command, journal_option, json_option
from .output import note, say, say_json, writing

limit_option = click.option(
    "-n",
    "--limit",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="Most batches, and most circuits of executors.",
)


@click.command("serve", cls=Command, short_help="Show batches in a browser, live.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="Port on 127.0.0.1.  [default: any free one]"
)
@limit_option
@journal_option
def serve_command(*, port: int, limit: int, journal_path: Path | None) -> None:
    r"""Show batches, jobs, states, timelines and budgets on a page of this machine, live while programs run.

    The address is printed; it has a key in it, without which nothing is shown. Nothing is asked of IBM. Ctrl-C ends it.
    Needs the extra pennylane-threaded-ibmq[pages].

    \b
    Examples:
      threaded-ibmq serve
      threaded-ibmq serve --port 8321
    """
    from .pages.server import make_app, new_key

    open_journal(journal_path)  # one that is not there, or damaged, is told here and not on a page
    key = new_key()
    app = make_app(journal_path, limit, key)
    with socket.socket() as listening:
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(("127.0.0.1", port))
            listening.listen()  # whoever opens the address at once waits for the server, and is not refused
        except OSError as error:
            raise click.ClickException(f"port {port} cannot be used: {error.strerror or error}.") from None
        say(f"http://127.0.0.1:{listening.getsockname()[1]}/{key}/")
        note("Open it in a browser; Ctrl-C ends it.")
        _run(app, listening)


def _run(app: object, listening: socket.socket) -> None:
    import uvicorn

    # no log of addresses, which have the key
    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)  # type: ignore[arg-type] # object
    try:
        uvicorn.Server(config).run(sockets=[listening])
    except KeyboardInterrupt:
        return


@click.command("report", cls=Command, short_help="Write batches as pages into a folder.")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the pages; index.html is the first.",
)
@limit_option
@journal_option
@json_option
def report_command(*, output: Path, limit: int, journal_path: Path | None, as_json: bool) -> None:
    r"""Write batches, jobs, states, timelines and budgets as pages that need no server.

    They show what `threaded-ibmq serve` shows, as it stands now. Needs the extra pennylane-threaded-ibmq[pages].

    \b
    Examples:
      threaded-ibmq report -o report
      threaded-ibmq report -o report --limit 500 --json
    """
    from .pages.render import Pages

    with writing(output):
        files = Pages(journal_path, limit).write(output)
    if as_json:
        say_json({"index": files[0], "files": files})
        return
    note(f"{quantity(len(files), 'file')}; open {files[0]}.")
