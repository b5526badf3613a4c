"""The layers of the package, read from its imports: lower layers only, or the same one without a cycle.

A module that is not in LAYERS fails: whoever adds one says here where it belongs.
"""

import ast
import graphlib
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PACKAGE = "counterflow"
SOURCE = REPOSITORY / "src" / PACKAGE
LONGEST_FILE = 320

LAYERS = (
    ("spec", "shapes", "files", "tracing"),
    ("densities", "families", "univariate", "conditioners"),
    ("bases", "solvers"),
    ("bijections",),
    ("model", "shared_order", "prefix", "flow", "autoregressive", "one_order", "objectives"),
    ("models",),
    ("checkpoint", "tables"),
    ("training", "diagnostics"),
    ("tabular", "distillation", "vae", "inference", "audio", "images"),
    ("report", "estimator", "interop", "exporting", "testing"),
    ("cli", "__main__"),
)
LAYER_OF = {name: layer for layer, names in enumerate(LAYERS) for name in names}
TOP = len(LAYERS)  # the package's own __init__ sees everything, and nothing inside may import it


def test_imports_point_to_a_lower_layer() -> None:
    assert upward_imports(SOURCE) == []


def test_no_module_is_part_of_an_import_cycle() -> None:
    assert import_cycles(SOURCE) == []


def test_every_module_has_a_layer() -> None:
    assert unplaced_modules(SOURCE) == []


def test_every_file_says_its_reason_in_its_first_line() -> None:
    assert files_without_a_reason(SOURCE) == []


def test_no_file_outgrows_its_reason() -> None:
    assert overlong_files(SOURCE) == []


def test_every_init_only_names_what_it_exports() -> None:
    assert inits_with_logic(SOURCE) == []


def test_the_layers_in_the_contributors_guide_are_these() -> None:
    text = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    shown = {int(layer): tuple(names.split()) for layer, names in re.findall(r"^L(\d+) {2,}(.+)$", text, re.MULTILINE)}
    assert shown == {layer: tuple(n for n in names if n != "__main__") for layer, names in enumerate(LAYERS)}


def test_the_readers_see_the_whole_package() -> None:
    """All the checks above pass on an empty folder; this one does not."""
    read = modules(SOURCE)
    assert f"{PACKAGE}.spec" in read
    assert sum(len(targets) for targets in import_graph(SOURCE).values()) >= len(read) // 2


def upward_imports(root: Path) -> list[str]:
    """Sentences about imports that leave a layer upwards; a module without a layer is another check's business."""
    return [
        f"{short(source)} (L{layer(source)}) imports {target} (L{layer(target)})"
        for source, targets in import_graph(root).items()
        for target in sorted(targets)
        if is_placed(source) and is_placed(target) and layer(source) < layer(target)
    ]


def import_cycles(root: Path) -> list[str]:
    try:
        graphlib.TopologicalSorter(import_graph(root)).prepare()
    except graphlib.CycleError as error:
        return [" -> ".join(reversed(error.args[1]))]
    return []


def unplaced_modules(root: Path) -> list[str]:
    return [short(name) for name in modules(root) if not is_placed(name)]


def files_without_a_reason(root: Path) -> list[str]:
    reasons = {path: ast.get_docstring(parsed(path), clean=False) or "" for path in modules(root).values()}
    return [str(path.relative_to(root)) for path, text in reasons.items() if not text.split("\n")[0].strip()]


def overlong_files(root: Path) -> list[str]:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in modules(root).values()}
    return [f"{path.relative_to(root)} has {n} lines" for path, n in lengths.items() if n > LONGEST_FILE]


def inits_with_logic(root: Path) -> list[str]:
    return [
        f"{path.relative_to(root)}:{statement.lineno}"
        for path in modules(root).values()
        if path.name == "__init__.py"
        for statement in parsed(path).body[1:]
        if not is_declaration(statement)
    ]


def is_declaration(statement: ast.stmt) -> bool:
    """An import, a constant that calls nothing, or the `__getattr__` and `__dir__` of lazy names."""
    match statement:
        case ast.Import() | ast.ImportFrom():
            return True
        case ast.FunctionDef(name=name):
            return name in ("__getattr__", "__dir__")
        case ast.If(test=ast.Name(id="TYPE_CHECKING"), body=body, orelse=[]):
            return all(isinstance(inner, ast.Import | ast.ImportFrom) for inner in body)
        case ast.Assign(value=value) | ast.AnnAssign(value=ast.expr() as value):
            return not any(isinstance(node, ast.Call | ast.Await) for node in ast.walk(value))
    return False


def modules(root: Path) -> dict[str, Path]:
    """Dotted name -> file of everything under `root`, which is read as the package."""
    names = {path: (PACKAGE, *path.relative_to(root).with_suffix("").parts) for path in sorted(root.rglob("*.py"))}
    return {".".join(parts[:-1] if parts[-1] == "__init__" else parts): path for path, parts in names.items()}


def import_graph(root: Path) -> dict[str, set[str]]:
    """Module -> modules of the package that it imports anywhere: at its top, in a function, for type checking."""
    known = modules(root)
    return {name: set(imports(name, path, known)) for name, path in known.items()}


def imports(module: str, path: Path, known: Mapping[str, Path]) -> Iterator[str]:
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == PACKAGE)
        elif isinstance(node, ast.ImportFrom):
            origin = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join(origin + (node.module.split(".") if node.module else []))
            if source.split(".")[0] == PACKAGE:
                # `from . import flow` reads the module flow; `from . import Flow` reads the package's own names.
                yield from (full if (full := f"{source}.{a.name}") in known else source for a in node.names)


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def short(module: str) -> str:
    return module.removeprefix(f"{PACKAGE}.")


def layer(module: str) -> int:
    return TOP if module == PACKAGE else LAYER_OF[short(module).split(".")[0]]


def is_placed(module: str) -> bool:
    return module == PACKAGE or short(module).split(".")[0] in LAYER_OF


PLANTED: dict[str, tuple[Callable[[Path], list[str]], dict[str, str], str]] = {
    "an import from a higher layer": (
        upward_imports,
        {"shapes.py": '"""A."""\nfrom .flow import Flow\n', "flow.py": '"""B."""\nFlow = 1\n'},
        "shapes (L0) imports counterflow.flow (L4)",
    ),
    "an import from a higher layer inside a function": (
        upward_imports,
        {"bases.py": '"""A."""\ndef f():\n    import counterflow.models.maf\n', "models/maf.py": '"""B."""\n'},
        "bases (L2) imports counterflow.models.maf (L5)",
    ),
    "an import from a higher layer for type checking only": (
        upward_imports,
        {"bases.py": '"""A."""\nif TYPE_CHECKING:\n    from .models import maf\n', "models/maf.py": '"""B."""\n'},
        "bases (L2) imports counterflow.models.maf (L5)",
    ),
    "an import of the package itself": (
        upward_imports,
        {"flow.py": '"""A."""\nfrom counterflow import Chain\n'},
        f"flow (L4) imports counterflow (L{TOP})",
    ),
    "an import by two dots from a subpackage": (
        upward_imports,
        {"univariate/affine.py": '"""A."""\nfrom ..solvers import stepwise\n', "solvers/stepwise.py": '"""B."""\n'},
        "univariate.affine (L1) imports counterflow.solvers.stepwise (L2)",
    ),
    "a cycle within a layer": (
        import_cycles,
        {"flow.py": '"""A."""\nfrom . import objectives\n', "objectives.py": '"""B."""\nfrom .flow import x\n'},
        "counterflow.flow",
    ),
    "a cycle through the __init__ of a package": (
        import_cycles,
        {"models/__init__.py": '"""A."""\nfrom .maf import f\n', "models/maf.py": '"""B."""\nfrom . import f\n'},
        "counterflow.models.maf",
    ),
    "a module without a layer": (unplaced_modules, {"utils.py": '"""A."""\n'}, "utils"),
    "a module without a docstring": (files_without_a_reason, {"flow.py": "x = 1\n"}, "flow.py"),
    "a docstring that starts with an empty line": (
        files_without_a_reason,
        {"flow.py": '"""\nA.\n"""\n'},
        "flow.py",
    ),
    "an overlong file": (
        overlong_files,
        {"flow.py": '"""A."""\n' + "x = 1\n" * LONGEST_FILE},
        f"flow.py has {LONGEST_FILE + 1} lines",
    ),
    "an __init__ that computes": (
        inits_with_logic,
        {"models/__init__.py": '"""A."""\nimport torch\ntorch.set_num_threads(1)\n'},
        "models/__init__.py:3",
    ),
    "an __init__ that calls in an assignment": (
        inits_with_logic,
        {"__init__.py": '"""A."""\n__version__ = version("counterflow")\n'},
        "__init__.py:2",
    ),
}


@pytest.mark.parametrize("mistake", PLANTED)
def test_a_planted_mistake_is_caught(mistake: str, tmp_path: Path) -> None:
    check, files, sentence = PLANTED[mistake]
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    found = check(tmp_path)
    assert len(found) == 1
    assert sentence in found[0]
