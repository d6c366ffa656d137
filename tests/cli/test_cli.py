"""The command line: quick help, documented options, configurations that round-trip."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from perceptransfer.cli import main
from perceptransfer.cli.parse import FUNCTIONS, POLICY, parser_for

QUICK = [["--help"], ["--version"], []]


@pytest.mark.parametrize("words", QUICK, ids=lambda words: " ".join(words) or "nothing")
def test_help_and_version_load_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys; from perceptransfer.cli import main; assert main(sys.argv[1:]) == 0;"
        "heavy = {'torch', 'numpy', 'lightning', 'timm', 'jsonargparse', 'yaml'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "perceptransfer" in done.stdout


def test_help_names_every_command() -> None:
    from perceptransfer.cli import HELP

    assert all(f"\n  {command}  " in HELP for command in [*FUNCTIONS, *POLICY])


@pytest.mark.parametrize("command", [*FUNCTIONS, *POLICY])
def test_every_option_is_documented(command: str) -> None:
    for action in parser_for(command)._actions:
        assert action.help, f"{command} {action.option_strings or action.dest} has no help"


def test_print_config_can_be_given_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def printed(*words: str) -> str:
        with pytest.raises(SystemExit):
            main(["benchmark", *words, "--print_config"])
        return capsys.readouterr().out

    text = printed("--seeds", "[4]", "--pipeline.align", "null", "--pipeline.finetune.lr", "0.5")
    config = yaml.safe_load(text)
    (tmp_path / "c.yaml").write_text(text)
    assert printed("--config", str(tmp_path / "c.yaml")) == text
    assert config["seeds"] == [4] and config["pipeline"]["init_args"]["align"] is None
    nested = yaml.safe_load(printed("--pipeline.finetune.halved_at", "null"))["pipeline"]["init_args"]["finetune"]
    assert nested["init_args"]["halved_at"] is None
