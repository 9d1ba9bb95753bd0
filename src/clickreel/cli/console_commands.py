"""``clickreel console``: the web page."""

from __future__ import annotations

from typing import Annotated

import typer

from clickreel.cli.target_options import ProfileFile, TopicName


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(console)


def console(  # noqa: PLR0917 - one parameter an option
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; a token is required beyond this machine.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Port; 0 for a free one.", min=0, max=65_535)] = 0,
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            help="Token that visitors must give. [default: generated when listening beyond 127.0.0.1]",
            envvar="CLICKREEL_CONSOLE_TOKEN",
        ),
    ] = None,
    allow_writes: Annotated[
        bool, typer.Option("--allow-writes", help="Allow actions on services that do not run on this machine.")
    ] = False,
    topic: TopicName = None,
    profile: ProfileFile = None,
) -> None:
    """Serve the web console: the live topic, its monitor, contract, SQL, answers and proofs.

    Example: `clickreel console`, then open the address that it prints.
    """
    from clickreel.cli.output import print_err
    from clickreel.cli.target_options import profile as find_profile
    from clickreel.cli.target_options import topic_name
    from clickreel.console.context import ConsoleContext
    from clickreel.console.serve import serve
    from clickreel.local.home import Home
    from clickreel.local.run_options import given_profile

    home = Home.default()
    is_local = profile is None and not given_profile(home)
    context = ConsoleContext(
        find_profile(profile),
        topic_name(topic),
        home.path,
        is_local=is_local,
        allow_writes=is_local or allow_writes,
    )
    serve(context, host=host, port=port, token=token or "", announce=lambda address: print_err(f"console: {address}"))
