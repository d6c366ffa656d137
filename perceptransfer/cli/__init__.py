"""Floor 8: the one door. Help and version answer without importing torch."""

from __future__ import annotations

import sys
from collections.abc import Sequence

HELP = """usage: perceptransfer COMMAND [options]

Train vision on rendered images, measure what survives on real ones, close the gap with few real labels.

commands:
  benchmark   score against the share of real labels, for every arm; without options: the embedded digits
  cross-task  pretrain on task i, fine-tune on task j with few labels: the whole matrix against its baselines
  run         one pipeline: pretrain, align, self-train, fine-tune, specialize
  report      write summary, table, curve and HTML report of a results folder again
  ledger      verify or show the record of what was computed from what
  export      a checkpoint's frozen encoder for a robot: timm folder, ONNX, torch program, with proof of equality
  render      labelled images of a scene file, by Blender or by the built-in ray-caster
  render calibrate  fit a scene's sensor ranges to unlabelled photos, judged on photos held out
  verify      check an exported encoder: hashes and golden output
  policy demos     let a scripted expert show a task in a simulated world (extra robot)
  policy train     clone demonstrations on the features of a frozen encoder
  policy evaluate  success in closed loop: both looks, held-out starts, edge, delays
  policy finetune  tune a small part of a policy behind gates, in a target look with other dynamics

  perceptransfer COMMAND --help         all options of a command
  perceptransfer COMMAND --print_config the configuration as YAML, to be edited and given back by --config
  perceptransfer --version
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return the exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0
    if words[0] == "--version":
        from importlib.metadata import version

        print(f"perceptransfer {version('perceptransfer')}")
        return 0
    count = 2 if words[0] == "policy" or words[:2] == ["render", "calibrate"] else 1
    command = " ".join(words[:count])
    if f"\n  {command}  " not in HELP:
        print(f"error: unknown command {command!r}\n\n{HELP}", end="", file=sys.stderr)
        return 2
    from perceptransfer.cli.parse import call

    return call(command, words[count:])
