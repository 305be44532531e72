"""The table of a stack's outputs, from what its program exports, as it is and under each option."""

from docs.generate.options import plans
from docs.generate.words import OUTPUTS


def outputs_table(stack: str) -> str:
    lines = ["| output | what it is | there |", "|---|---|---|"]
    told: set[str] = set()
    for words, plan in plans(stack).items():
        new = sorted(set(plan.outputs) - told)
        lines += [f"| `{name}` | {OUTPUTS[name]} | {f'with {words}' if words else 'always'} |" for name in new]
        told.update(new)
    return "\n".join(lines)
