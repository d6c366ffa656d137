"""From command-line words to a typed call, and from typed errors to exit codes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

import yaml
from jsonargparse import (  # type: ignore[attr-defined]  # Namespace is not in its __all__
    ActionConfigFile,
    ArgumentParser,
    Namespace,
    get_loader,
    set_loader,
)

from perceptransfer.cli import bundles, calibrating, commands, rendering
from perceptransfer.core.errors import PerceptransferError

EMBEDDED = Path(commands.__file__).parents[1] / "benchmark" / "digits.yaml"
FUNCTIONS: dict[str, Callable[..., int]] = {
    "benchmark": commands.benchmark,
    "cross-task": commands.cross_task,
    "run": commands.run,
    "report": commands.report,
    "ledger": commands.ledger,
    "export": bundles.export,
    "verify": bundles.verify,
    "render": rendering.render,
    "render calibrate": calibrating.calibrate,
}
POLICY = {
    "policy demos": "policies.demos",
    "policy train": "policies.train",
    "policy evaluate": "policies.try_out",
    "policy finetune": "finetuning.finetune",
}
"""Commands whose functions need the extra ``robot``, which is imported when one of them is called."""
WITH_CONFIG = {"benchmark", "run", "cross-task"}
WITH_DEFAULT_CONFIG = {"benchmark", "run"}


_load_yaml = get_loader("yaml")


def _load(text: str) -> object:
    # Seen in jsonargparse 4.53: `--pipeline.finetune.halved_at null` reaches the parser of Finetune as the word "None".
    return None if text == "None" else _load_yaml(text)


set_loader("yaml", _load, exceptions=(yaml.YAMLError,))


def function_of(command: str) -> Callable[..., int]:
    """What a command calls.

    Raises:
        MissingExtraError: the command needs an extra that is not installed.
    """
    if command in FUNCTIONS:
        return FUNCTIONS[command]
    file, name = POLICY[command].split(".")
    function: Callable[..., int] = getattr(import_module(f"perceptransfer.cli.{file}"), name)
    return function


def parser_for(command: str) -> ArgumentParser:
    """Parser whose options are the arguments of the command's function."""
    function = function_of(command)
    parser = ArgumentParser(prog=f"perceptransfer {command}", description=(function.__doc__ or "").split("\n\n")[0])
    if command in WITH_CONFIG:
        parser.add_argument(
            "--config",
            action=ActionConfigFile,
            help="YAML file; several are merged in order, later options win"
            + " (default: the embedded digits)" * (command in WITH_DEFAULT_CONFIG),
        )
    parser.add_function_arguments(function, as_positional=command not in WITH_CONFIG)
    return parser


def call(command: str, words: Sequence[str]) -> int:
    """Parse, run, and turn errors into a message and an exit code."""
    words = list(words)
    if command in WITH_DEFAULT_CONFIG and not any(word.split("=")[0] == "--config" for word in words):
        words = ["--config", str(EMBEDDED), *words]
    sys.path.insert(0, "")  # a user's own loss or image source in the working folder
    try:
        parser = parser_for(command)
        config = parser.parse_args(words)
        config.pop("config", None)
        return function_of(command)(**vars(_instantiate(parser, config)))
    except PerceptransferError as error:
        print(f"error: {type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted: what is finished is kept; the same command goes on from there", file=sys.stderr)
        return 130


def _instantiate(parser: ArgumentParser, config: Namespace) -> Namespace:
    """Make the objects; an error of theirs that jsonargparse wraps in its own comes out as it was."""
    try:
        made: Namespace = parser.instantiate(config)
        return made
    except ValueError as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, PerceptransferError):
            cause = cause.__cause__ or cause.__context__
        raise cause or error from None
