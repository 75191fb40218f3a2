"""What the project promises about itself: its metadata, its set-up and what it loads."""

import configparser
import fnmatch
import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "tinytensor"
BASE = {"numpy", "graphviz", "graphviz-pure", "threadpoolctl"}


@pytest.fixture(scope="module")
def setup_cfg() -> configparser.ConfigParser:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    return config


def lines(value: str) -> list[str]:
    return [line.strip() for line in value.splitlines() if line.strip()]


def tracked_files() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout, so git does not say which files belong")
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    return [ROOT / name for name in listing.split("\0") if (ROOT / name).is_file()]


def test_the_installed_version_is_the_declared_one(setup_cfg):
    name = setup_cfg["metadata"]["name"]
    assert importlib.metadata.version(name) == setup_cfg["metadata"]["version"]


def test_the_changelog_has_a_section_for_the_version(setup_cfg):
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
    assert setup_cfg["metadata"]["version"] in headings


def test_a_base_install_brings_these_packages_and_no_more(setup_cfg):
    required = lines(setup_cfg["options"]["install_requires"])
    assert {re.split(r"[<>=!~;\[ ]", line)[0] for line in required} == BASE


def test_no_requirement_names_one_exact_version(setup_cfg):
    extras = setup_cfg["options.extras_require"]
    required = [setup_cfg["options"]["install_requires"], *extras.values()]
    assert [line for value in required for line in lines(value) if "==" in line] == []


def test_importing_tinytensor_loads_numpy_and_nothing_else():
    code = """
import json, sys
import numpy, numpy.linalg
before = set(sys.modules)
import tinytensor
loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
assert "numpy.random" not in sys.modules  # as slow as the rest together; made with the first number
print(json.dumps(sorted(loaded - sys.stdlib_module_names)))
"""
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert set(json.loads(run.stdout)) - {"numpy"} == {"tinytensor"}


def test_the_package_says_that_it_is_typed():
    assert (PACKAGE / "py.typed").is_file()


def test_every_file_of_the_package_is_packaged(setup_cfg):
    patterns = [
        pattern for value in setup_cfg["options.package_data"].values() for pattern in lines(value)
    ]
    files = [path for path in tracked_files() if path.is_relative_to(PACKAGE)]
    data = [path for path in files if path.suffix != ".py"]
    unmatched = [p for p in data if not any(fnmatch.fnmatch(p.name, q) for q in patterns)]
    homeless = [path for path in files if not (path.parent / "__init__.py").is_file()]
    assert PACKAGE / "py.typed" in data
    assert unmatched == [], "name them under [options.package_data] in setup.cfg"
    assert homeless == [], "their folder needs an __init__.py, or it is left out of the wheel"


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_every_make_command_of_the_documents_exists(document):
    text = (ROOT / document).read_text("utf-8")
    code = "\n".join(re.findall(r"^```.*?^```|`[^`\n]+`", text, re.M | re.S))
    named = set(re.findall(r"\bmake ([a-z]\w*)", code))
    targets = set(re.findall(r"^([a-z]\w*):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    assert {"demo", "test"} <= named
    assert named - targets == set()


def test_no_file_names_a_registry_or_a_path_of_one_machine():
    # The names are put together here, so that this file passes its own test.
    registries = ["pypi", "pythonhosted", "anaconda", "npmjs", "deb.debian", "download.pytorch"]
    folders = ["home", "opt", "root", "tmp", "Users", "work"]
    host = rf"\b(?:{'|'.join(map(re.escape, registries))})\.(?:org|com)\b"
    absolute_path = rf"(?<![\w.~/-])/(?:{'|'.join(folders)})/"
    forbidden = re.compile(f"{host}|{absolute_path}")
    files = tracked_files()
    found = [
        f"{path.relative_to(ROOT)}:{number}: {match.group()}"
        for path in files
        if b"\0" not in (content := path.read_bytes())
        for number, line in enumerate(content.decode("utf-8").splitlines(), start=1)
        for match in forbidden.finditer(line)
    ]
    assert Path(__file__) in files
    assert found == []
