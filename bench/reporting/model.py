"""What a report consists of, before it is Markdown or HTML."""

from dataclasses import dataclass, field


@dataclass
class Cell:
    """`value` is the number exactly as the file has it, `key` says which: a test compares them with the file."""
    text: str
    spread: str = ""
    value: float | None = None
    key: str = ""
    state: str = ""  # met, missed, better, worse: marked beside the word, never by colour alone


@dataclass
class Table:
    ident: str
    caption: str
    head: list[str]
    rows: list[list[Cell]]
    folded: bool = False  # on the page behind a click; in Markdown left out, for the files have it


@dataclass
class Chart:
    """`spec` is what page/charts.js draws; `table` holds the same figures."""
    ident: str
    title: str
    spec: dict
    table: str


@dataclass
class Section:
    ident: str
    title: str
    facts: list[str] = field(default_factory=list)
    command: str = ""
    charts: list[Chart] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class Machine:
    """`facts` are pairs of a word and what holds; `mitigations` likewise."""
    facts: list[tuple[str, str]]
    mitigations: list[tuple[str, str]]


@dataclass
class Report:
    when: str
    machines: list[Machine]
    warnings: list[str]
    sections: list[Section]
