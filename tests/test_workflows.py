"""Workflows and Dockerfile, as far as can be seen without running them."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet

import cwda
from cwda.cli.main import cwda as group

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text()) for path in ROOT.glob(".github/*/*.yml")}
DOCKERFILE = (ROOT / "Dockerfile").read_text()

#: The hosts that these files may name: the public index, and PyTorch's index of CPU builds.
HOSTS = {"pypi.org", "download.pytorch.org"}


def jobs():
    return [job for workflow in WORKFLOWS.values() for job in workflow["jobs"].values()]


def steps(key):
    return [step[key] for job in jobs() for step in job.get("steps", []) if key in step]


def versions():
    """Versions of Python that the project says it runs on."""
    found = (re.fullmatch(r".* :: (3\.\d+)", line) for line in PROJECT["classifiers"])
    return [match[1] for match in found if match]


def test_there_are_workflows_for_tests_and_releases():
    assert set(WORKFLOWS) == {"tests", "release"}


def test_the_tests_run_on_every_system_and_version():
    matrix = WORKFLOWS["tests"]["jobs"]["tests"]["strategy"]["matrix"]
    assert {name.split("-")[0] for name in matrix["os"]} == {"ubuntu", "macos", "windows"}
    assert matrix["python"] == versions()
    assert all(version in SpecifierSet(PROJECT["requires-python"]) for version in versions())
    assert versions()[0] in PROJECT["requires-python"]


#: Modules that Python has on Linux and macOS only.
POSIX = {"fcntl", "grp", "pty", "pwd", "resource", "termios", "tty"}


def test_nothing_is_imported_at_the_top_that_windows_lacks():
    """A single test module that cannot be imported stops the whole run."""
    for folder in ("cwda", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            lines = path.read_text(encoding="utf-8").splitlines()
            named = {word for line in lines if line.startswith(("import ", "from "))
                     for word in line.split()[1].split(".")[:1]}  # fmt: skip
            assert not named & POSIX, path


def test_single_versions_are_among_those_of_the_project():
    named = [with_["python-version"] for with_ in steps("with") if "python-version" in with_]
    named = [version for version in named if "matrix" not in version]
    named += re.findall(r"^FROM python:(\S+)-slim", DOCKERFILE, re.MULTILINE)
    assert len(named) > 3
    assert set(named) <= set(versions())


def test_actions_are_pinned_by_commit_with_their_version():
    text = "".join(path.read_text() for path in ROOT.glob(".github/*/*.yml"))
    used = re.findall(r"uses: +(\S+)(.*)", text)
    outside = [(name, rest) for name, rest in used if not name.startswith("./")]
    assert len(outside) == len(steps("uses")) > 5
    for name, rest in outside:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", name), name
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", rest), name
    for name, _ in used:
        assert not name.startswith("./") or (ROOT / name).is_file(), name


def test_paths_extras_and_commands_exist():
    commands = "\n".join(steps("run"))
    for script in re.findall(r"^\./(\S+)", commands, re.MULTILINE):
        assert (ROOT / script).stat().st_mode & 0o100, script
    for folder in re.findall(r"pytest (\S+)", commands):
        assert (ROOT / folder).exists() or folder.startswith("pytest-"), folder
    extras = re.findall(r"\[([\w,-]+)\]", commands + DOCKERFILE.split("ENTRYPOINT")[0])
    assert extras
    for extra in ",".join(extras).split(","):
        assert extra in PROJECT["optional-dependencies"], extra
    named = re.findall(r"(?:bin/|RUN )(cwda[\w-]*)", commands + DOCKERFILE)
    named += re.findall(r'ENTRYPOINT \["([\w-]+)"\]', DOCKERFILE)
    assert len(named) >= 4
    assert set(named) <= set(PROJECT["scripts"])
    for example in re.findall(r"^# .*\scwda (\w+) ", DOCKERFILE, re.MULTILINE):
        assert example in group.commands


def test_only_the_step_that_publishes_has_a_token():
    assert all(workflow["permissions"] == {"contents": "read"} for workflow in WORKFLOWS.values())
    allowed = {name: job["permissions"] for name, job in named_jobs() if "permissions" in job}
    assert allowed == {"publish": {"id-token": "write"}}
    publish = WORKFLOWS["release"]["jobs"]["publish"]
    assert publish["environment"]["name"] == "pypi"
    assert not re.search("password|secrets", str(WORKFLOWS))


def named_jobs():
    return [pair for workflow in WORKFLOWS.values() for pair in workflow["jobs"].items()]


def test_a_release_is_tested_and_has_the_version_of_its_tag():
    release = WORKFLOWS["release"]
    assert release[True]["push"]["tags"] == ["v*"]  # YAML reads the key `on` as true
    chain, name = [], "publish"
    while name:
        chain.append(name)
        name = release["jobs"][name].get("needs")
    assert chain == ["publish", "tests", "version"]
    assert release["jobs"]["tests"]["uses"] == "./.github/workflows/tests.yml"
    assert "workflow_call" in WORKFLOWS["tests"][True]
    (command,) = [step["run"] for step in release["jobs"]["version"]["steps"] if "run" in step]
    pattern = re.search(r'"(.*)" cwda/_version.py', command)[1].replace('\\"', '"')
    expected = pattern.replace("${GITHUB_REF_NAME#v}", cwda.__version__)
    assert expected in (ROOT / "cwda" / "_version.py").read_text().splitlines()
    artifacts = [with_["name"] for with_ in steps("with") if with_.get("path") == "dist/"]
    assert artifacts == ["dist", "dist"]


def test_no_other_host_is_named():
    texts = [path.read_text() for path in ROOT.glob(".github/*/*.yml")]
    found = re.findall(r"https?://([^/\s\"]+)", "\n".join([*texts, DOCKERFILE]))
    assert set(found) == HOSTS


@pytest.mark.parametrize("word", ["USER cwda", "--no-cache-dir", 'CMD ["--help"]'])
def test_the_image_is_small_and_does_not_run_as_root(word):
    assert word in DOCKERFILE
    assert DOCKERFILE.count("FROM ") == 2  # what builds the wheel stays behind
