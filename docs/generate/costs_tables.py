"""The tables of what a stack costs at rest: as it is ready, and what each option adds."""

from docs.generate.billed import BILLED, SELLERS, USED
from docs.generate.costs import Line, at_rest
from docs.generate.idle import Idle, dollars
from docs.generate.options import plans


def costs_table(stack: str) -> str:
    lines = ["| what | of it | price | what removes it |", "|---|---|---|---|"]
    resources = plans(stack)[""].resources
    used = [text for type_, text in USED.items() if any(each.type == type_ for each in resources)]
    return "\n".join([*lines, *(_row(line.idle, _amount(line)) for line in at_rest(resources)), *(f"\n{text}" for text in used)])


def added_table(stack: str) -> str:
    base = {line.idle: line for line in at_rest(plans(stack)[""].resources)}
    added: dict[Idle, list[str]] = {}
    for words, plan in plans(stack).items():
        for line in at_rest(plan.resources):
            more = _beyond(line, base.get(line.idle))
            if more is not None:
                added.setdefault(line.idle, []).append(f"{words}: {_amount(more)}")
    lines = ["| what | with which setting, of it | price | what removes it |", "|---|---|---|---|"]
    return "\n".join([*lines, *(_row(idle, "<br>".join(added[idle])) for idle in BILLED if idle in added)])


def _beyond(line: Line, known: Line | None) -> Line | None:
    """What an option adds to a line that is there anyway; more to store in the same kind of place is no line of its own."""
    if known is None:
        return line
    if line.units is None or known.units is None or line.units <= known.units:
        return None
    return Line(line.idle, (), line.units - known.units)


def _amount(line: Line) -> str:
    one, _, many = line.idle.of.partition("|")
    count = len(line.resources) if line.units is None else round(line.units)
    return f"{count:,} {one if count == 1 else many}" + (", by size" if line.units is None else "")


def _row(idle: Idle, amount: str) -> str:
    return f"| {idle.what} | {amount} | {price(idle)} | {idle.off} |"


def price(idle: Idle) -> str:
    """The price with its source, and where today's stands."""
    free = f", the first {idle.free:,.0f} of an account free, for all its stacks together" if idle.free else ""
    page = f"[{SELLERS[idle.type.partition(':')[0]]}]({idle.link})"
    if idle.usd is None:
        return f"by the {idle.unit}{free}: {page}"
    parts = [f"{dollars(usd)} by the {unit}" for usd, unit in ((idle.usd, idle.unit), *idle.also)]
    return f"{', '.join(parts)}{free}, {idle.source}; today's: {page}"
