"""Pages of the gallery: Python files in the percent format, executed when the site is built.

What a page printed and drew is kept in target/gallery, under a hash of its source and of the package that it ran with.
"""

import hashlib
import html
import json
import logging
import os
import re
import resource
from base64 import b64decode
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

import jupytext
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

CACHE = Path(__file__).resolve().parents[2] / "target" / "gallery"
# Most that a page may take.
MOST_CPU_SECONDS = 60
SET_UP = "%config InlineBackend.figure_format = 'retina'\n"

# Where a warning came from: a file that no reader has.
WHERE = re.compile(r"^\S*/ipykernel_\d+/\d+\.py:\d+: ", re.M)

log = logging.getLogger("mkdocs.hooks.notebooks")


def add(source, files, config):
    """Adds the page of a source, and its figures."""
    kept = CACHE / f"{source.stem}-{version(source)}.json"
    if not kept.exists():
        page = executed(source)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(page))
    page = json.loads(kept.read_text())
    files.append(File.generated(config, f"gallery/{source.stem}.md", content=page["text"]))
    for name, data in page["figures"].items():
        files.append(File.generated(config, f"gallery/{source.stem}/{name}", content=b64decode(data)))


def version(source):
    """A hash of what a page depends on."""
    package = Path(find_spec("gradlogp").origin).parent
    parts = [source, Path(__file__), *sorted(package.rglob("*.py")), *sorted(package.glob("_gradlogp*"))]
    return hashlib.sha256(b"".join(hashlib.sha256(part.read_bytes()).digest() for part in parts)).hexdigest()[:16]


def executed(source):
    """Text and figures of a source, executed in a kernel of its own."""
    notebook = jupytext.read(source)
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    written, first.source = first.source, SET_UP + first.source
    client = NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(source.parent)}})
    before = cpu()
    try:
        with TemporaryDirectory() as folder:
            # Sockets as files: no network, not even within the machine.
            manager = client.create_kernel_manager()
            manager.transport, manager.ip = "ipc", f"{folder}/socket"
            client.execute(env={**os.environ, "PYTHONHASHSEED": "0"})
    except CellExecutionError as error:
        raise PluginError(f"{source.name}: {error}") from error
    seconds = cpu() - before
    log.info("%s: executed in %.0f CPU seconds", source.name, seconds)
    if seconds > MOST_CPU_SECONDS:
        log.warning("%s: took %.0f CPU seconds; pages of the gallery may take %d", source.name, seconds, MOST_CPU_SECONDS)
    first.source = written
    figures = {}
    text = "\n\n".join(part for cell in notebook.cells for part in shown(cell, source.stem, figures))
    link = f"[{source.name}]({source})"
    end = f"*{link} was executed in {seconds:.0f} CPU seconds when this site was built; all that is shown is what it printed and drew.*"
    return {"text": f"{text}\n\n---\n\n{end}\n", "figures": figures}


def cpu():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def shown(cell, stem, figures):
    """A cell and its outputs as Markdown."""
    if cell.cell_type == "markdown":
        yield cell.source
        return
    yield f"```python\n{cell.source}\n```"
    for output in joined(cell.get("outputs", [])):
        data = output.get("data", {})
        if "image/png" in data:
            name = f"{len(figures) + 1}.png"
            figures[name] = data["image/png"]
            yield f'<p class="gallery-figure"><img src="{stem}/{name}" alt="Figure {len(figures)} of this page"></p>'
        elif "text/html" in data:
            yield f'<div class="gallery-output">{data["text/html"].replace(chr(10) * 2, chr(10))}</div>'
        else:
            text = WHERE.sub("", output.get("text") or data.get("text/plain", ""))
            yield f'<div class="gallery-output"><pre>{html.escape(text.rstrip())}</pre></div>'


def joined(outputs):
    """Outputs, with what was printed in one piece."""
    for kind, group in groupby(outputs, key=lambda output: output.get("name", id(output))):
        group = list(group)
        yield group[0] | ({"text": "".join(part["text"] for part in group)} if kind in ("stdout", "stderr") else {})
