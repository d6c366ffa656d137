"""README does not lie: its Python runs, its commands and flags exist, the files it names are there.

Two marks steer the check. ``<!-- run -->`` on the line before a ```` ```python ```` block has it executed (others must
compile). ``<!-- test -->`` and ``<!-- /test -->`` enclose the command that installs and tests; `.ci/run` runs it too.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

MAX_LINES = 150
CODE = re.compile(r"^(?P<run><!-- run -->\n)?```(?P<language>\w+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
SHELL = {"bash", "sh", "console"}
# What follows these flags is made by the command.
OUTPUT_FLAGS = {"--out", "--output", "--store"}


class Block(NamedTuple):
    """A fenced block; ``run`` when the reader is promised that it works as it stands."""

    language: str
    body: str
    run: bool


def blocks(text: str) -> list[Block]:
    return [Block(found["language"], found["body"], bool(found["run"])) for found in CODE.finditer(text)]


def commands(text: str) -> Iterator[list[str]]:
    """The words after ``perceptransfer`` of every call in a shell block."""
    for block in blocks(text):
        if block.language in SHELL:
            for line in re.split(r"\n|&&|;", block.body.replace("\\\n", " ")):
                words = shlex.split(line.removeprefix("$ "), comments=True)
                for place, word in enumerate(words):
                    if word.rsplit("/", 1)[-1] == "perceptransfer":
                        yield words[place + 1 :]
                        break


def missing_files(text: str, root: Path) -> list[str]:
    """Link targets, and paths in code that start in a folder of the checkout, that do not exist."""
    prose = CODE.sub("", text)
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", prose) + re.findall(r'(?:src|href)="([^"#]+)"', prose)
    named = [link for link in links if "://" not in link and not link.startswith("mailto:")]
    folders = {path.name for path in root.iterdir() if path.is_dir() and path.name not in {".git", ".venv"}}
    quoted = re.findall(r"`([^`\s]+)`", prose)
    for words in commands(text):
        quoted += [word for flag, word in zip(["", *words], words, strict=False) if flag not in OUTPUT_FLAGS]
    named += [word for word in quoted if "/" in word and word.split("/")[0] in folders and not set("*<{…") & set(word)]
    return sorted({name for name in named if not (root / name).exists()})


def wrong_commands(text: str, help_of: Callable[[str | None], str]) -> list[str]:
    """Calls of subcommands, and flags of them, that the help text does not know.

    Of a dotted flag the first part counts: a class chosen on the command line brings arguments that no help lists.
    """
    wrong = []
    for words in commands(text):
        if not words or words[0].startswith("-"):
            continue
        name = " ".join(words[:2]) if words[0] == "policy" or words[:2] == ["render", "calibrate"] else words[0]
        if not re.search(rf"\b{re.escape(name)}\b", help_of(None)):
            wrong.append(name)
            continue
        for word in words[1:]:
            flag = word.split("=")[0].split(".")[0]
            if flag.startswith("--") and not re.search(rf"{re.escape(flag)}(?!\w)", help_of(name)):
                wrong.append(f"{name} {flag}")
    return wrong


def marked_command(text: str) -> str:
    """What stands between the test marks, without the fence."""
    inside = text.partition("<!-- test -->")[2].partition("<!-- /test -->")[0]
    return "\n".join(line for line in inside.splitlines() if line and not line.startswith("```"))


@pytest.fixture(scope="module")
def readme(checkout: Path) -> str:
    return (checkout / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def help_of() -> Callable[[str | None], str]:
    from perceptransfer import cli

    known: dict[str | None, str] = {}

    def ask(subcommand: str | None) -> str:
        if subcommand not in known:
            arguments = ["perceptransfer", *(subcommand.split() if subcommand else []), "--help"]
            with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as printed:
                patch.setattr(sys, "argv", arguments)
                with contextlib.suppress(SystemExit):
                    cli.main()
            known[subcommand] = printed.getvalue()
        return known[subcommand]

    return ask


def test_it_fits_a_short_read(readme: str) -> None:
    assert 20 < len(readme.splitlines()) <= MAX_LINES


def test_its_python_compiles_and_what_is_marked_runs(readme: str, tmp_path: Path) -> None:
    python = [block for block in blocks(readme) if block.language == "python"]
    assert python, "README shows no Python"
    for block in python:
        compile(block.body, "README.md", "exec")
        if block.run:
            subprocess.run([sys.executable, "-c", block.body], cwd=tmp_path, check=True)


def test_its_commands_exist(readme: str, help_of: Callable[[str | None], str]) -> None:
    assert list(commands(readme)), "README shows no command"
    assert wrong_commands(readme, help_of) == []


def test_the_files_it_names_exist(readme: str, checkout: Path) -> None:
    assert missing_files(readme, checkout) == []


@pytest.mark.parametrize("guide", ["robot.md", "synthetic.md"])
def test_the_guides_keep_the_same_promises(guide: str, checkout: Path, help_of: Callable[[str | None], str]) -> None:
    text = (checkout / "docs" / guide).read_text(encoding="utf-8")
    assert list(commands(text)) and wrong_commands(text, help_of) == []
    here = (
        text.replace("../shared/data/", "results/").replace("](../", "](").replace("](decisions/", "](docs/decisions/")
    )  # links are relative to the file
    assert missing_files(here, checkout) == []


def test_it_has_the_two_promised_commands(readme: str) -> None:
    setup = "python -m venv .venv && .venv/bin/pip install -e "
    assert f"{setup}. && .venv/bin/perceptransfer benchmark" in readme
    assert marked_command(readme) == f'{setup}".[dev]" && .venv/bin/pytest -n 2'


def test_ci_extracts_the_same_command(readme: str, checkout: Path) -> None:
    run = subprocess.run(
        ["bash", ".ci/run", "--print-test-command"], cwd=checkout, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == marked_command(readme)


SAMPLE = """\
See [the guide](GUIDE.md#top), [the site](https://example.org/x), `docs/there.md`, `docs/gone.md`, `results.jsonl`.
![curve](docs/curve.png)

```python
x = 1
```

<!-- run -->
```python
print(1)
```

<!-- test -->
```bash
pip install x && .venv/bin/tool
```
<!-- /test -->

```bash
pip install perceptransfer && .venv/bin/perceptransfer benchmark --seeds 3 --config docs/gone.yaml --out docs/new
$ perceptransfer run --align.loss my.Coral \\
    --nope 1  # perceptransfer fake
perceptransfer --help
perceptransfer ledgre verify
```
"""


def test_blocks_and_marks_are_read() -> None:
    found = blocks(SAMPLE)
    assert [(block.language, block.run) for block in found] == [
        ("python", False),
        ("python", True),
        ("bash", False),
        ("bash", False),
    ]
    assert found[1].body == "print(1)\n"
    assert marked_command(SAMPLE) == "pip install x && .venv/bin/tool"


def test_missing_files_are_found(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "there.md").touch()
    assert missing_files(SAMPLE, tmp_path) == ["GUIDE.md", "docs/curve.png", "docs/gone.md", "docs/gone.yaml"]


def test_wrong_commands_are_found() -> None:
    texts = {None: "{run,benchmark,ledger}", "benchmark": "--seeds N --config C --out DIR", "run": "--align.loss CLASS"}
    assert wrong_commands(SAMPLE, lambda subcommand: texts[subcommand]) == ["run --nope", "ledgre"]
