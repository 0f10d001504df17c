"""What the site's pages need beyond Markdown: parts of README.md, links out of `docs/`, formulas, executed notebooks."""

import re
from pathlib import Path

import notebooks
from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def on_files(files, config):
    for source in sorted((DOCS / "gallery").glob("*.py")):
        notebooks.add(source, files, config)
    return files


def on_page_markdown(markdown, page, config, files):
    markdown = re.sub(r"^\{\{ README: (.+) \}\}$", lambda found: readme(found[1]), markdown, flags=re.M)
    folder = (DOCS / page.file.src_uri).parent
    return re.sub(r"(\]\()([^)#\s:]+)((?:#[^)\s]*)?\))", lambda found: found[1] + place(found[2], folder, page) + found[3], markdown)


def readme(heading):
    """The section of README.md below a heading, without the heading."""
    text = (ROOT / "README.md").read_text()
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, flags=re.M | re.S)
    if found is None:
        raise PluginError(f"README.md has no section '{heading}'")
    return re.sub(r"(\]\()([^)#\s:]+)", lambda link: link[1] + str(ROOT / link[2]), found[1].strip())


def place(link, folder, page):
    """A link to a file as the site has it: to a page, or to the repository for what is not in `docs/`."""
    path = Path(link) if link.startswith(str(ROOT)) else folder / link
    path = path.resolve()
    if path.is_relative_to(DOCS) and not path.relative_to(DOCS).parts[0].startswith("."):
        ups = "../" * page.file.src_uri.count("/")
        return ups + path.relative_to(DOCS).as_posix()
    if not path.exists():
        raise PluginError(f"{page.file.src_uri}: there is no {link}")
    kind = "tree" if path.is_dir() else "blob"
    return f"https://github.com/gradlogp/gradlogp/{kind}/main/{path.relative_to(ROOT).as_posix()}"


FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.S)
TAG = re.compile(r"\s*\\tag\{(\w+)\}\s*")
BAR = re.compile(r"<mo>(&#x02016;)</mo>")
PRIME = re.compile(r"<msup>(<m[in]>[^<]*</m[in]>)<mi>(&#x0203[23];)</mi></msup>")
NAME = re.compile(r"<(mi|mo)>(log|tr|div|Var|min)</\1>")


def on_page_content(html, page, config, files):
    """Formulas as MathML, which browsers draw themselves."""

    def drawn(found):
        tex = found[3].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        tag = TAG.search(tex)
        try:
            math = convert(TAG.sub("", tex), display="inline" if found[2] == "(" else "block")
        except Exception as error:
            raise PluginError(f"{page.file.src_uri}: {tex.strip()}: {error!r}") from error
        # Bars as high as letters, primes that can be seen, and room around names of functions.
        math = PRIME.sub(r'\1<mo lspace="0" rspace="0.05em">\2</mo>', math)
        math = BAR.sub('<mo stretchy="false" lspace="0" rspace="0">\\1</mo>', math)
        math = NAME.sub(r'<mo lspace="0.17em" rspace="0.17em">\2</mo>', math)
        if found[2] == "(":
            return math
        return f'<div class="formula">{math}<span>{f"({tag[1]})" if tag else ""}</span></div>'

    return FORMULA.sub(drawn, html)
