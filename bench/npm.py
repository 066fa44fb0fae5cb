"""npm packages that the benchmark uses, installed from lock files beside their package.json."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def installed_modules(directory: Path, what: str) -> Path | None:
    """`directory`/node_modules, brought up to its lock file; None, and why is printed, if it cannot be."""
    modules = directory / "node_modules"
    installed = modules / ".package-lock.json"
    lock = directory / "package-lock.json"
    if installed.is_file() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return modules
    where = directory.relative_to(Path(__file__).parent.parent)
    npm = shutil.which("npm")
    if npm is None:
        print(f"optional part missing: {what} (npm ci --prefix {where} needs Node.js)")
        return None
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    if subprocess.run(command, cwd=directory, check=False).returncode:
        print(f"optional part missing: {what} (npm ci --prefix {where} failed)")
        return None
    return modules
