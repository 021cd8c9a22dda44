"""Print the lowest versions that pyproject.toml allows of what the packages need, as pip takes them."""

import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
print(*(needed.replace(">=", "==") for needed in project["dependencies"]))
