"""docs/flags.md is what the parser says."""

import argparse
from pathlib import Path

from aer_openrlhf.cli import flags_page
from aer_openrlhf.integration import flags
from aer_openrlhf.methods import registry

PAGE = Path(__file__).parents[2] / "docs" / "flags.md"


def test_the_page_is_as_the_parser_is():
    assert PAGE.read_text() == flags_page.page(), f"docs/flags.md is stale: {flags_page.COMMAND}"


def test_every_flag_has_a_row_with_its_default_and_unit():
    parser = argparse.ArgumentParser()
    flags.add_arguments(parser)
    rows = {cells[0].strip(" `"): cells[1:] for line in flags_page.page().splitlines() if (cells := line.split(" | "))}
    rows = {name.removeprefix("| `"): cells for name, cells in rows.items()}
    for name in parser._option_string_actions.keys() - {"-h", "--help"}:
        assert rows[name][-1].strip(" |"), name
    assert rows["--aer.rho"][:2] == ["`0.5`", "accuracy in (0, 1]"]
    assert rows["--aer.enable"][:2] == ["off", "switch"]
    assert rows["--aer.run_dir"][0] == "`--ckpt.output_dir`"
    assert rows["--aer.target_entropy"][:2] == ["–", "nats"]
    assert rows["--aer.method"][:2] == ["`aer`", ", ".join(f"`{name}`" for name in registry.METHODS)]
