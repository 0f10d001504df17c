"""Docstrings as mkdocstrings reads them: roles such as :class:`ScoreDensity` become links, parameters a table, and
sessions code."""

import re

from griffe import Extension

ROLE = re.compile(r":(?:class|meth|func|attr|exc):`~?([\w.]+)`")
PARAMETERS = re.compile(r"^Parameters\n-+\n(.*?)(?=^\S.*\n-{3,}\n|\Z)", re.M | re.S)
# What is typed and what answers, up to an empty line.
SESSION = re.compile(r"^>>> .*(?:\n.+)*", re.M)
# Names, and what the lines below them say.
ENTRY = re.compile(r"^(\S.*(?:\n\S.*)*)\n((?:[ \t]+.*\n?|\n)+)", re.M)


class Docstrings(Extension):
    """Rewrites docstrings."""

    def on_object(self, *, obj, **_):
        if obj.docstring:
            text = PARAMETERS.sub(lambda found: table(found[1]), obj.docstring.value)
            text = SESSION.sub(lambda found: f"```pycon\n{found[0]}\n```", text)
            obj.docstring.value = ROLE.sub(lambda found: linked(found[1], obj), text)


def table(parameters):
    """Parameters as a table: those that are told of together stand together, and types are in the signature."""
    lines = ["| parameter | meaning |", "|---|---|"]
    for names, meaning in ENTRY.findall(parameters.rstrip() + "\n"):
        names, _, values = " ".join(names.split()).partition(" : ")
        shown = ", ".join(f"`{name.strip()}`" for name in names.split(","))
        if values.startswith("{"):
            meaning = f"{values.strip('{}')}. {meaning}"
        lines.append(f"| {shown} | {' '.join(meaning.split())} |".replace("p(x | c)", r"p(x \| c)"))
    return "\n".join(lines) + "\n\n"


def linked(name, obj):
    """A link to a name of the module or the package; the name alone where it is neither's."""
    for scope in (obj.module, obj.package):
        if name.split(".")[0] in scope.members and not scope.name.startswith("_"):
            return f"[`{name}`][{scope.path}.{name}]"
    return f"`{name}`"
