"""Habits of the tree that a reader counts on."""

from __future__ import annotations

import configparser
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOWNLOAD_ADDRESS = re.compile(r'"resolved"\s*:|--(extra-)?index|--find')


def tracked_files() -> list[Path]:
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout
    return [ROOT / name for name in names.split("\0") if name]


def test_lock_files_name_no_download_addresses() -> None:
    offenders = [
        str(path.relative_to(ROOT))
        for path in tracked_files()
        if path.name in {"package-lock.json", "requirements.lock", "requirements-dev.lock"}
        and DOWNLOAD_ADDRESS.search(path.read_text())
    ]
    assert not offenders


def test_every_dependency_has_bounds_and_is_locked() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    for section, lock in (
        ("options", "requirements.lock"),
        ("options.extras_require", "requirements-dev.lock"),
    ):
        wanted = config[section]["install_requires" if section == "options" else "dev"].split("\n")
        locked = {
            line.split("==")[0].lower().replace("_", "-")
            for line in (ROOT / lock).read_text().splitlines()
            if "==" in line
        }
        for requirement in filter(None, map(str.strip, wanted)):
            name, _, bounds = requirement.partition(" ")
            assert bounds.startswith("==") or ("<" in bounds and ">=" in bounds), (
                f"{requirement} has no bounds"
            )
            assert name.lower().replace("_", "-").split("[")[0] in locked, (
                f"{name} is not in {lock}: run make lock"
            )


def test_no_catch_all_modules() -> None:
    offenders = [
        str(path.relative_to(ROOT))
        for path in tracked_files()
        if path.suffix == ".py"
        and path.stem in {"utils", "util", "common", "helpers", "misc"}
        and "tests" not in path.relative_to(ROOT).parts
    ]
    assert not offenders


def test_pyproject_holds_only_the_build_system() -> None:
    tables = re.findall(r"^\[([^\]]+)\]", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert tables == ["build-system"]


def test_test_modules_have_names_of_their_own() -> None:
    """Pytest imports them by name: two of the same name hide one another."""
    names = [path.name for path in tracked_files() if path.name.startswith("test_") and path.suffix == ".py"]
    assert sorted(names) == sorted(set(names))
