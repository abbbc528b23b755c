"""What a start looks like on a terminal, and the screen that it ends with."""

from __future__ import annotations

import shlex
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from cluster.data_dir import default_data_dir
from cluster.reports import Failed, Notice, Ready, Report, StepDone, StepStarted


class ProgressScreen:
    """Show what is being started with a running clock each, and a line for each step that is done.

    Where the output is no terminal there are only the lines.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._running: dict[str, TaskID] = {}
        self.facts: dict[str, Any] | None = None
        self.fault: str | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def __call__(self, report: Report) -> None:
        """Show one report."""
        match report:
            case StepStarted(label):
                self._running[label] = self._progress.add_task(f"{label} is starting", total=None)
            case StepDone(label, seconds):
                self._end(label)
                self._print(f"[green]ready[/]  {escape(label):<34}[dim]{seconds:6.1f} s[/]")
            case Notice(text):
                self._print(f"[yellow]note[/]   {escape(text)}")
            case Ready(facts):
                self._on_ready(facts)
            case Failed(text):
                self.fault = text
                self._end_all()

    def _on_ready(self, facts: dict[str, Any]) -> None:
        self._end_all()
        if self.facts is not None:
            self._print("[green]ready[/]  everything runs again")
        self.facts = facts

    def _end_all(self) -> None:
        for label in list(self._running):
            self._end(label)

    def _end(self, label: str) -> None:
        task = self._running.pop(label, None)
        if task is not None:
            self._progress.remove_task(task)

    def _print(self, line: str) -> None:
        self._console.print(line, soft_wrap=True)


def show_ending(console: Console, facts: dict[str, Any], *, detached: bool) -> None:
    """Tell a newcomer what runs now, how to take a payment, and how to stop it."""
    table = Table.grid(padding=(0, 2))
    for name, value in _rows(facts):
        table.add_row(f"[bold]{name}", escape(value))
    console.print(Panel(table, title="EasyPay is ready", title_align="left", border_style="green", expand=False))
    console.print("Take a payment:\n")
    # Not wrapped: it is there to be copied.
    console.print(example_request(facts), soft_wrap=True, markup=False, highlight=False)
    stop = f"easypay down{_data_dir_option(facts)}" if detached else "Ctrl-C"
    console.print(f"\nStop it: [bold]{escape(stop)}[/]   Its data and keys stay in {escape(facts['data_dir'])}")


def example_request(facts: dict[str, Any]) -> str:
    """Return a curl command that takes a payment and can be pasted as it is."""
    lines = [
        f"curl {facts['url']}/v1/payments",
        f"-H 'Authorization: Bearer {facts.get('api_key', 'YOUR_KEY')}'",
        "-H 'Content-Type: application/json'",
        '-H "Idempotency-Key: $(date +%s%N)"',
        """-d '{"amount": 1999, "currency": "EUR", "payment_method": "tok_visa"}'""",
    ]
    return " \\\n  ".join(lines)


def _rows(facts: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [
        ("API", facts["url"]),
        ("API reference", f"{facts['url']}/docs"),
        ("Test key", facts.get("api_key", "")),
        ("Admin key", facts.get("admin_key", "")),
        ("Ray dashboard", facts["dashboard_url"]),
        ("Its token is in", facts["ray_token_file"]),
    ]
    return [(name, value) for name, value in rows if value]


def _data_dir_option(facts: dict[str, Any]) -> str:
    # Only where it is needed: most people have one gateway, in the default place.
    if str(default_data_dir().absolute()) == facts["data_dir"]:
        return ""
    return f" --data-dir {shlex.quote(facts['data_dir'])}"
