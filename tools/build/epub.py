"""Make an EPUB of the built pages: what they show, as XHTML that any reader of books can open.

python -m tools.build.epub
"""

import posixpath
import re
import zipfile
from html import escape
from pathlib import PurePosixPath
from urllib.parse import urljoin, urlparse
from uuid import NAMESPACE_URL, uuid5

import yaml
from bs4 import BeautifulSoup, Comment

from tools import ROOT
from tools.build import home

SITE = ROOT / "_build" / "html"
EPUB = ROOT / "_build" / "weight-decay-by-experiment.epub"
STYLE = ROOT / "tools" / "build" / "epub.css"
FONT = "_static/stix-two-math.woff2"

OF_THE_SITE = (
    "script, style, svg, .headerlink, .viewcode-link, .run-this-chapter, #your-progress, #other-forms, "
    ".toctree-wrapper, .expanded, .sd-summary-state-marker, div.lab"
)
ATTRIBUTES_OF_THE_SITE = ("tabindex", "loading", "align", "border")
COLORED = re.compile(r'<span class="(?!(?:c1|k|kn|gp)")[a-z][a-z\d]?">([^<]*)</span>')
ANSWER = re.compile(r"Answers? to (prediction|quiz) \d+")
SPOILERS = ("Hint", "The answer")
TYPES = {
    ".xhtml": "application/xhtml+xml",
    ".css": "text/css",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}

CONTAINER = """\
<?xml version="1.0" encoding="utf-8"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">
  <rootfiles><rootfile full-path="book.opf" media-type="application/oebps-package+xml"/></rootfiles>
</container>
"""
PAGE = """\
<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE html>
<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops" lang="en" xml:lang="en">
<head><title>{title}</title><link rel="stylesheet" href="{up}style.css"/></head>
<body>
{body}
</body>
</html>
"""
PACKAGE = """\
<?xml version="1.0" encoding="utf-8"?>
<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id" xml:lang="en">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:identifier id="id">urn:uuid:{uuid}</dc:identifier>
<dc:title>{title}</dc:title>
<dc:creator>{author}</dc:creator>
<dc:language>en</dc:language>
<dc:date>{date}</dc:date>
<dc:rights>{rights}</dc:rights>
<dc:description>{abstract}</dc:description>
<meta property="dcterms:modified">{date}T00:00:00Z</meta>
<meta property="schema:accessMode">textual</meta>
<meta property="schema:accessMode">visual</meta>
<meta property="schema:accessModeSufficient">textual</meta>
<meta property="schema:accessibilityFeature">MathML</meta>
<meta property="schema:accessibilityFeature">alternativeText</meta>
<meta property="schema:accessibilityFeature">structuralNavigation</meta>
<meta property="schema:accessibilityFeature">tableOfContents</meta>
<meta property="schema:accessibilityHazard">none</meta>
<meta property="schema:accessibilitySummary">Figures have texts, and formulas are MathML.</meta>
</metadata>
<manifest>
{manifest}
</manifest>
<spine>
{spine}
</spine>
</package>
"""


def parts(root=ROOT):
    """Return the names of the pages in their order, by the caption of their part."""
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    named = {part["caption"]: [chapter["file"] for chapter in part["chapters"]] for part in toc["parts"]}
    return {"": [toc["root"]], **named}


class Page:
    """A page of the site as a chapter of the EPUB: `body` and what the book has to know of it."""

    def __init__(self, name, names, published, site=SITE):
        html = (site / f"{name}.html").read_text(encoding="utf-8")
        self.name, self.soup = name, BeautifulSoup(COLORED.sub(r"\1", html), "html.parser")
        self.body = self.soup.select_one("article")
        self.tell_where_labs_are(published)
        self.drop_what_belongs_to_the_site()
        self.unfold()
        self.gather_answers()
        self.lead_links(names, published)
        self.title = self.body.h1.get_text()
        self.images = {self.place(image["src"]) for image in self.body.select("img")}

    def place(self, address):
        """Return where an address of this page leads, as seen from the top of the site."""
        return posixpath.normpath(posixpath.join(posixpath.dirname(self.name), address))

    def new(self, name, text="", **attributes):
        made = self.soup.new_tag(name, attrs=attributes)
        made.string = text
        return made

    def tell_where_labs_are(self, published):
        for lab in self.body.select("div.lab"):
            address = f"{published}{self.name}.html#{lab['data-lab']}"
            told = self.new("a", address, href=address) if published else self.new("code", address)
            sentence = lab.find_next("p", class_="lab-instead")
            sentence.append(" On the site it can be moved: ")
            sentence.append(told)

    def drop_what_belongs_to_the_site(self):
        for tag in self.body.select(OF_THE_SITE):
            tag.decompose()
        for comment in self.body.find_all(string=lambda text: isinstance(text, Comment)):
            comment.extract()
        for tag in self.body.find_all(True):
            for attribute in ATTRIBUTES_OF_THE_SITE:
                tag.attrs.pop(attribute, None)
        for formula in self.body.select("math"):
            formula["xmlns"] = "http://www.w3.org/1998/Math/MathML"

    def unfold(self):
        """Open folds, but for hints; the name of a fold is text alone."""
        for fold in self.body.select("details"):
            fold.summary.string = re.sub(r"^Show code", "Code", fold.summary.get_text().strip())
            if not fold.summary.string.startswith(SPOILERS):
                fold["open"] = ""

    def gather_answers(self):
        """Move the answers to the end of the chapter; links lead there and back."""
        folds = [fold for fold in self.body.select("details") if ANSWER.match(fold.summary.string)]
        if not folds:
            return
        answers = self.new("section", id="answers")
        answers.append(self.new("h2", "Answers"))
        for number, fold in enumerate(folds, 1):
            there, here = f"answer-{number}", f"question-{number}"
            link = self.new("p", id=here)
            link.append(self.new("a", fold.summary.string, href=f"#{there}"))
            heading = self.new("h3", id=there)
            heading.append(self.new("a", fold.summary.extract().string, href=f"#{here}"))
            fold.replace_with(link)
            fold.name, fold.attrs = "div", {}
            fold.insert(0, heading)
            answers.append(fold)
        self.body.section.append(answers)

    def lead_links(self, names, published):
        """Lead links to the chapters of the EPUB, or to the published page; else their text is left.

        A lab's setting, behind a "?", is on the site alone.
        """
        for link in self.body.select("a[href]"):
            address = urlparse(link["href"])
            if address.scheme or not address.path:
                continue
            place = self.place(address.path)
            if place.removesuffix(".html") in names and "?" not in address.fragment:
                link["href"] = re.sub(r"\.html(?=#|$)", ".xhtml", link["href"])
            elif published:
                link["href"] = urljoin(published, place) + f"#{address.fragment}" * bool(address.fragment)
            else:
                link.unwrap()

    def xhtml(self):
        up = "../" * self.name.count("/")
        body = self.body.decode_contents(formatter="minimal").strip()
        return PAGE.format(title=escape(self.title), up=up, body=body)

    def contents(self):
        """Return the entry of this page in the table of contents, with its sections."""
        sections = self.body.select("section[id] > h2")
        inside = [
            f'<li><a href="{self.name}.xhtml#{h2.parent["id"]}">{escape(h2.get_text())}</a></li>'
            for h2 in sections
        ]
        inside = ["<ol>", *inside, "</ol>"] if inside else []
        return "\n".join([f'<li><a href="{self.name}.xhtml">{escape(self.title)}</a>', *inside, "</li>"])


def navigation(pages, title, root=ROOT):
    """Return the page of contents, which readers show in a menu of their own, too."""
    entries = []
    for caption, names in parts(root).items():
        chapters = [pages[name].contents() for name in names]
        if caption:
            chapters = [f"<li><span>{escape(caption)}</span><ol>", *chapters, "</ol></li>"]
        entries += chapters
    first, second, *_ = pages
    landmarks = {
        "toc": ("nav", "Contents"),
        "frontmatter": (first, pages[first].title),
        "bodymatter": (second, pages[second].title),
        "glossary": ("book/glossary", "Glossary"),
        "bibliography": ("book/bibliography", "Bibliography"),
    }
    body = ['<nav epub:type="toc" role="doc-toc">', "<h1>Contents</h1>", "<ol>", *entries, "</ol>", "</nav>"]
    body += ['<nav epub:type="landmarks" hidden="">', "<ol>"]
    body += [
        f'<li><a epub:type="{kind}" href="{name}.xhtml">{escape(text)}</a></li>'
        for kind, (name, text) in landmarks.items()
    ]
    return PAGE.format(title=escape(title), up="", body="\n".join([*body, "</ol>", "</nav>"]))


def package(pages, files, about):
    """Return the file that names all others, and their order."""
    items = []
    for number, name in enumerate(files):
        page = pages.get(name.removesuffix(".xhtml"))
        properties = "nav" * (name == "nav.xhtml") + "cover-image" * name.endswith("/drift.svg")
        properties += "mathml" * bool(page and page.body.math)
        properties = f' properties="{properties}"' if properties else ""
        kind = TYPES[PurePosixPath(name).suffix]
        items.append(f'<item id="i{number}" href="{name}" media-type="{kind}"{properties}/>')
    order = {name: f"i{number}" for number, name in enumerate(files)}
    spine = [f'<itemref idref="{order[f"{name}.xhtml"]}"/>' for name in pages]
    spine.insert(1, f'<itemref idref="{order["nav.xhtml"]}"/>')
    about = {key: escape(str(value)) for key, value in about.items()}
    return PACKAGE.format(manifest="\n".join(items), spine="\n".join(spine), **about)


def about(root=ROOT):
    """Return what a catalogue says of the book; its date is that of the source."""
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    citation = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    return {
        "title": config["title"],
        "author": config["author"],
        "rights": config["copyright"],
        "abstract": citation["abstract"],
        "date": citation["date-released"],
        "uuid": uuid5(NAMESPACE_URL, config["title"]),
    }


def make(path=EPUB, site=SITE, root=ROOT):
    """Write the EPUB of a built site; of the same site it is the same, byte for byte."""
    known = about(root)
    published = home.published(home.read(root))
    names = [name for group in parts(root).values() for name in group]
    pages = {name: Page(name, names, published, site) for name in names}
    files = {"nav.xhtml": navigation(pages, known["title"], root).encode(), "style.css": STYLE.read_bytes()}
    files |= {f"{name}.xhtml": page.xhtml().encode() for name, page in pages.items()}
    others = sorted({FONT}.union(*(page.images for page in pages.values())))
    files |= {name: (site / name).read_bytes() for name in others}
    opf = package(pages, list(files), known)
    with zipfile.ZipFile(path, "w") as archive:
        first = {"mimetype": b"application/epub+zip", "META-INF/container.xml": CONTAINER, "book.opf": opf}
        for name, content in (first | files).items():
            entry = zipfile.ZipInfo(name)  # of 1980: what is built twice is the same
            entry.compress_type = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            archive.writestr(entry, content, compresslevel=9)
    return path


if __name__ == "__main__":
    print(f"Made. Open {make()}")
