import re

import pytest
from cli_runs import EVERY, Command

from matrixci.errors import ExitCode
from matrixci.matrix.axes import RESERVED


@pytest.mark.parametrize(
    ("arguments", "chosen"),
    [
        ("", EVERY),
        ("--python 3.12", EVERY[:4]),
        ("--python=3.12", EVERY[:4]),
        ("--python 3.12,3.13", EVERY),
        ("--python 3.12 --python 3.13", EVERY),
        ("--python 3.13 --numpy 2.x --device cpu", [EVERY[6]]),
        ("--numpy numpy2 --device=cuda", [EVERY[3], EVERY[7]]),
        ("--cell py3.12-*-cpu", [EVERY[0], EVERY[2]]),
        ("--cell py3.12-numpy1-cpu --cell py3.13-numpy2-cuda", [EVERY[0], EVERY[7]]),
        ("--cell *-cpu --python 3.13", [EVERY[4], EVERY[6]]),
        ("--device cpu --jobs 2 --fresh --python 3.12", [EVERY[0], EVERY[2]]),
        ("--tier newest", EVERY[4:]),
        ("--tier newest --numpy 2.x --cell *-cpu", [EVERY[6]]),
    ],
)
def test_cells_are_chosen_by_axis_and_by_id(
    command: Command, planned: list[str], arguments: str, chosen: list[str]
) -> None:
    assert command("matrix", "--plan", *arguments.split()).code == ExitCode.READY
    assert planned == chosen


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--pyton 3.12", 'Unknown option --pyton. Did you mean "--python"?'),
        ("--devices=cpu", 'Unknown option --devices=cpu. Did you mean "--device"?'),
        ("--subjet x", 'Unknown option --subjet. Did you mean "--subject"?'),
        ("--instal-engine", 'Unknown option --instal-engine. Did you mean "--install-engine"?'),
        ("-x", "Unknown option -x. Available: --python, --numpy, --device, --matrix"),
        ("py3.12-numpy1-cpu", "Unknown option py3.12-numpy1-cpu. Available: --python, "),
        ("--python", "--python needs a value of the axis python."),
        ("--python=", "--python= needs a value of the axis python."),
        ("--python 3.9", 'Unknown value "3.9" of the axis python. '),
        ("--python 3.12,", 'Unknown value "" of the axis python. Values: 3.12, 3.13.'),
        ("--cell py9*", 'No cell matches "py9*". Available cells: py3.12-numpy1-cpu, '),
        (
            "--cell *-cpu --device cuda",
            'No cell matches device=cuda and "*-cpu". Available cells: py3.12-numpy1-cpu, ',
        ),
        ("--tier newst", 'Unknown tier "newst". Did you mean "newest"? Tiers: newest.'),
        ("--tier newest --python 3.12", "No cell matches python=3.12 and tier newest"),
        ("--numpy 3.x --device gpu", 'Unknown value "3.x" of the axis numpy. '),
    ],
)
def test_mistake_in_the_selection_is_reported_with_available_values(
    command: Command, planned: list[str], arguments: str, message: str
) -> None:
    done = command("matrix", "--plan", *arguments.split())
    assert done.code == ExitCode.USAGE
    assert done.err[0].startswith(message)
    assert (done.out, planned) == ([], [])


def test_all_mistakes_in_the_selection_are_reported_together(command: Command) -> None:
    done = command("matrix", "--numpy", "3.x", "--device", "gpu", "--cell", "x")
    assert len(done.err) == 3


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("matrix --jbos 3", "--jobs"),
        ("plan --shardsize 3", "--shard-size"),
        ("plan --teir x", "--tier"),
    ],
)
def test_similar_option_is_suggested(command: Command, line: str, meant: str) -> None:
    done = command(*line.split())
    assert done.code == ExitCode.USAGE
    assert meant in done.err[0].partition("Did you mean")[2]


def test_option_names_are_reserved(command: Command) -> None:
    text = "\n".join(line for name in ("matrix", "plan") for line in command(name, "--help").out)
    options = set(re.findall(r"--([a-z-]+)", text)) - {"python", "device", "numpy"}
    assert options == RESERVED
