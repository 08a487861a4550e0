"""A report as Markdown: the same tables as on the page, without the charts."""


def render(report):
    parts = ["# Benchmark report", f"Measured {report.when}. {legend()}", *(f"**{text}**" for text in report.warnings)]
    for machine in report.machines:
        parts.append(rows(["machine", ""], [[escaped(word), escaped(holds)] for word, holds in machine.facts]))
        if machine.mitigations:
            states = [f"{escaped(name)}: {escaped(state)}" for name, state in machine.mitigations]
            parts.append(f"Mitigations: {'; '.join(states)}.")
    for section in report.sections:
        parts.append(f"## {section.title}")
        if section.command:
            parts.append(f"```sh\n{section.command}\n```")
        if section.facts:
            parts.append("  \n".join(escaped(fact) for fact in section.facts))
        for table in section.tables:
            if not table.folded:
                parts += [f"{table.caption}:", rows(table.head, [[cell(one) for one in row] for row in table.rows])]
        if section.notes:
            parts.append("\n".join(f"- {escaped(note)}" for note in section.notes))
    return "\n\n".join(parts) + "\n"


def legend():
    return "Medians of the rounds; in brackets the lowest and the highest round."


def cell(one):
    text = escaped(one.text) + (f" ({escaped(one.spread)})" if one.spread else "")
    return f"**{text}**" if one.state in ("missed", "worse") else text


def rows(head, body):
    align = ["---"] + ["--:"] * (len(head) - 1)
    lines = [head, align, *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def escaped(text):
    """Nothing in a result file can end a cell or become markup."""
    text = text.replace("\\", "\\\\").replace("\n", " ")
    for sign in "|*_`<>[]":
        text = text.replace(sign, "\\" + sign)
    return text
