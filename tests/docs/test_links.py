"""What the pages point at exists, and what the package offers is on a page."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import counterflow as cf
from docs.markdown import PAGES, ROOT, anchors, links, page_name

API = ROOT / "docs" / "api.md"


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_relative_link_of_a_page_resolves(page: Path) -> None:
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = page if not name else (page.parent / name).resolve()
        assert target.exists(), f"{page_name(page)} links to {link}, which does not exist"
        if anchor:
            assert anchor in anchors(target), f"{page_name(page)} links to {link}; that page has no such heading"


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        targets = [(page.parent / link.partition("#")[0]).resolve() for link in links(page) if ":" not in link]
        waiting += [target for target in targets if target.suffix == ".md" and target.is_file()]
    assert not [page_name(page) for page in PAGES if page not in reached]


def test_every_public_name_has_its_line_in_the_api_page() -> None:
    listed = set(re.findall(r"^- `([\w.]+)`: \S", API.read_text(encoding="utf-8"), re.MULTILINE))
    public = set(cf.__all__)
    for folder in ("models", "bijections", "univariate", "conditioners", "bases", "families", "solvers"):
        public |= {f"{folder}.{name}" for name in getattr(cf, folder).__all__}
    assert not sorted(public - listed), "run: python docs/write_api.py"


def test_the_api_page_is_what_its_script_writes() -> None:
    command = [sys.executable, "-c", "import write_api; print(write_api.page(), end='')"]
    done = subprocess.run(command, cwd=ROOT / "docs", capture_output=True, text=True, check=True, encoding="utf-8")
    assert done.stdout == API.read_text(encoding="utf-8"), "run: python docs/write_api.py"


def test_every_figure_is_small_and_has_its_script() -> None:
    pictures = [p for p in (ROOT / "docs" / "figures").iterdir() if p.suffix in (".svg", ".png")]
    assert pictures
    for picture in pictures:
        assert picture.stat().st_size < 200_000, picture
        assert picture.with_suffix(".py").is_file(), f"{picture.name} has no script"


def test_the_readme_quotes_the_measured_ratios() -> None:
    results = ROOT / "benchmarks" / "results" / "directions.json"
    measured = {cell["model"]: cell["ratio"] for cell in json.loads(results.read_text())["table"]}
    rows = re.findall(r"^\| `?([\w ]+?)`? \|.*\| ([\d.]+) \|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    quoted = {name: ratio for name, ratio in rows if name in measured}
    assert quoted.keys() == measured.keys()
    for name, ratio in quoted.items():
        digits = len(ratio.partition(".")[2])
        assert ratio == f"{measured[name]:.{digits}f}", f"{name}: the README says {ratio}, it is {measured[name]:.3f}"


def test_the_readme_quotes_the_measured_inverse() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "inverse_table.py"), "--readme"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, encoding="utf-8")
    assert done.stdout in (ROOT / "README.md").read_text(encoding="utf-8")
