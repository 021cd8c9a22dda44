"""Build wheel and source distribution, install the wheel beside NumPy and Numba alone, and use it: `make test-dist`."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
NEEDED = {"minidl", "numpy", "numba", "llvmlite", "pip", "setuptools"}
USE = '''
import sys
before = {name.partition(".")[0] for name in sys.modules}
import minidl, recsys
early = {"numba", "llvmlite"} & set(sys.modules)
assert not early, f"importing the packages imports {early}"

from recsys import datasets, evaluate, load, split_last
from recsys.models import ALS

data, truth = datasets.simulate(n_users=60, n_items=40, n_events=900, seed=0)
split = split_last(data.clean(duplicates="first").binarise())
model = ALS(factors=4, epochs=2).fit(split.train)
evaluate(model, split, metrics=["ndcg@10"])
model.save("als.recsys")
user = data.users.ids[0]
assert (load("als.recsys").recommend(user).items == model.recommend(user).items).all()
assert minidl.grad(lambda x: (x**3).sum())(2.0) == 12.0
for package in (minidl, recsys):
    assert "site-packages" in package.__file__, package.__file__

import importlib.metadata
owners = importlib.metadata.packages_distributions()
loaded = {name.partition(".")[0] for name in sys.modules} - before
foreign = {owner for name in loaded for owner in owners.get(name, ())} - {"minidl", "numpy", "numba", "llvmlite"}
assert not foreign, f"using the packages imports {foreign}"
'''


def run(*command: object, **options: object) -> str:
    """What a command prints; its failure is ours."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)
    if done.returncode:
        sys.exit(f"{' '.join(str(part) for part in command[:4])} ... failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def check(condition: bool, sentence: str) -> None:
    """Leave with a sentence unless the condition holds."""
    if not condition:
        sys.exit(sentence)


def check_contents(wheel: Path, source: Path) -> None:
    """The wheel holds the two packages and nothing else; the source holds what builds and describes them."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    check(tops == {"minidl", "recsys"}, f"{wheel.name} holds {', '.join(sorted(tops))}; only the packages belong there")
    wanted = {path.relative_to(ROOT).as_posix() for package in ("minidl", "recsys")
              for path in (ROOT / package).rglob("*") if path.suffix == ".py" or path.name == "py.typed"}
    check(wanted <= set(names), f"{wheel.name} lacks {', '.join(sorted(wanted - set(names)))}")
    with tarfile.open(source) as packed:
        found = {name.partition("/")[2] for name in packed.getnames()}
    lacking = (wanted | {"README.md", "LICENSE", "pyproject.toml"}) - found
    check(not lacking, f"{source.name} lacks {', '.join(sorted(lacking))}")


def main() -> None:
    """Build, look inside, install, use."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        run(sys.executable, "-m", "build", "--outdir", place / "dist", ROOT)  # the wheel is built from the source
        wheel, source = next(place.glob("dist/*.whl")), next(place.glob("dist/*.tar.gz"))
        check_contents(wheel, source)
        venv.create(place / "venv", with_pip=True)
        scripts = place / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
        run(scripts / "python", "-m", "pip", "install", "--quiet", wheel)
        installed = {line.partition("==")[0].partition(" @")[0].lower()
                     for line in run(scripts / "python", "-m", "pip", "freeze", "--all").splitlines()}
        check(installed <= NEEDED, f"{wheel.name} brings {', '.join(sorted(installed - NEEDED))}")
        run(scripts / "python", "-W", "error", "-c", USE, cwd=place)
        version = run(scripts / "recsys", "--version", cwd=place).strip()
        print(f"{wheel.name} and {source.name}: built, installed and used ({version})")


if __name__ == "__main__":
    main()
