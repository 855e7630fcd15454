"""`cwda calibrate` as a user meets it."""

from click.testing import CliRunner

from cwda.calibration import read_calibration
from cwda.cli.main import cwda


def run(*arguments):
    return CliRunner().invoke(
        cwda, ["calibrate", "--workers", "1", *map(str, arguments)], env={"COLUMNS": "100"}
    )


def test_study_page_and_summary(tmp_path):
    output, page = tmp_path / "calibration.jsonl", tmp_path / "page.md"
    arguments = ("--conditions", "mean, variance", "--designs", "t5", "--output", output)
    result = run("--replicates", 2, *arguments, "--markdown", page)
    assert result.exit_code == 0, result.output
    assert "variance" in result.output
    assert str(page) in result.output
    assert {row.replicates for row in read_calibration(output)} == {2}
    assert "\n## Mean\n" in page.read_text()
    assert "\n| t5 | " in page.read_text()
    again = run("--replicates", 3, *arguments)
    assert again.exit_code == 0, again.output
    assert {row.replicates for row in read_calibration(output)} == {3}


def test_bad_input_is_one_line(tmp_path):
    output = tmp_path / "calibration.jsonl"
    missing = tmp_path / "no" / "page.md"
    result = run("--replicates", 1, "--output", output, "--markdown", missing)
    assert result.exit_code == 1
    assert "does not exist" in result.output
    assert "Traceback" not in result.output
    assert len(result.output.strip().splitlines()) == 1
