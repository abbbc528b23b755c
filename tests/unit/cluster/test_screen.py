"""What a person sees."""

from __future__ import annotations

import io
import shlex
from pathlib import Path

import pytest
from rich.console import Console

from cluster.cli.screen import ProgressScreen, example_request, show_ending
from cluster.reports import Failed, Notice, Ready, StepDone, StepStarted

FACTS = {
    "url": "http://127.0.0.1:8000",
    "api_key": "sk_test_abc",
    "admin_key": "sk_test_xyz",
    "dashboard_url": "http://127.0.0.1:20001",
    "ray_token_file": "/srv/easypay/ray_token",
    "data_dir": "/srv/easypay",
}


def plain_console() -> tuple[Console, io.StringIO]:
    """Return a console that is no terminal, and what is written to it."""
    text = io.StringIO()
    return Console(file=text, width=100), text


def test_each_step_that_is_done_is_a_line_with_its_time() -> None:
    """Where the output is a file there is no animation, and nothing is lost."""
    console, text = plain_console()
    with ProgressScreen(console) as screen:
        for report in (StepStarted("Ray"), StepDone("Ray", 4.25), Notice("[odd] text"), Ready(FACTS)):
            screen(report)
    lines = text.getvalue().splitlines()
    assert lines[0].split() == ["ready", "Ray", "4.2", "s"]
    assert lines[1].split(maxsplit=1) == ["note", "[odd] text"]
    assert screen.facts == FACTS
    assert screen.fault is None


def test_a_fault_is_kept_for_the_end() -> None:
    """The last words of a start that failed are not followed by anything."""
    console, text = plain_console()
    with ProgressScreen(console) as screen:
        screen(StepStarted("Ray"))
        screen(Failed("Ray did not start"))
    assert screen.fault == "Ray did not start"
    assert text.getvalue() == ""


def test_a_restart_is_said_once_everything_runs_again() -> None:
    """The first time is the ending screen's business."""
    console, text = plain_console()
    with ProgressScreen(console) as screen:
        screen(Ready(FACTS))
        screen(Notice("Ray ended; starting it again"))
        screen(Ready(FACTS))
    assert text.getvalue().splitlines()[-1].split(maxsplit=1)[1] == "everything runs again"


def test_the_ending_names_what_a_newcomer_needs() -> None:
    """URL, keys, dashboard, token, how to stop."""
    console, text = plain_console()
    show_ending(console, FACTS, detached=True)
    shown = text.getvalue()
    for value in FACTS.values():
        assert value in shown
    assert "easypay down --data-dir /srv/easypay" in shown


def test_the_way_to_stop_is_as_short_as_it_can_be() -> None:
    """Beside a terminal it is Ctrl-C."""
    console, text = plain_console()
    show_ending(console, FACTS, detached=False)
    assert "Ctrl-C" in text.getvalue()
    assert "easypay down" not in text.getvalue()


def test_the_example_is_one_command_that_a_shell_understands() -> None:
    """It can be pasted as it stands, and sends a key of its own each time."""
    words = shlex.split(example_request(FACTS).replace("\\\n", " "))
    assert words[:2] == ["curl", "http://127.0.0.1:8000/v1/payments"]
    assert "Authorization: Bearer sk_test_abc" in words
    assert any(word.startswith("Idempotency-Key: $(") for word in words)


def test_the_default_place_needs_no_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Most people have one gateway."""
    monkeypatch.setenv("EASYPAY_DATA_DIR", str(tmp_path))
    console, text = plain_console()
    show_ending(console, {**FACTS, "data_dir": str(tmp_path)}, detached=True)
    assert "--data-dir" not in text.getvalue()
