"""Run as a file by an interpreter that need not have the shim: the package is loaded from this folder, by its own name.

This folder leaves the path before anything else is looked up, so that none of its files is taken for a module that a
function needs. Where the process was started comes last in the path: no file there takes the place of a module that
the interpreter has.
"""

import sys

# A process that multiprocessing starts comes by here under another name, with the path of this one.
if __name__ == "__main__" and not sys.flags.safe_path:
    del sys.path[0]

import importlib.util
from importlib import import_module
from pathlib import Path

_NAME = "mcp_shim_worker"


def _load(folder: Path) -> None:
    spec = importlib.util.spec_from_file_location(
        _NAME, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules[_NAME] = package
    spec.loader.exec_module(package)


if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036 (the interpreter may be any)
        sys.exit("error: this interpreter is older than Python 3.11; configure another one as `interpreter`")
    _load(Path(__file__).resolve().parent)
    sys.path.append(str(Path.cwd()))
    import_module(f"{_NAME}.serving").main()
