"""The report of a model that was made smaller, as a table."""

from collections.abc import Mapping
from typing import Any


def shrunk_table(report: Mapping[str, Any]) -> str:
    """Lines of `before` and `after`, then what became of the answers."""
    rows = [("bytes of graph and weights", f"{report['bytes_before']:,}", f"{report['bytes_after']:,}", _times("bytes", report))]
    rows.append(("CPU ms a sample, one alone", f"{report['ms_before']:.2f}", f"{report['ms_after']:.2f}", _times("ms", report)))
    if report["together_ms_before"] is not None:
        before, after = report["together_ms_before"], report["together_ms_after"]
        rows.append(("CPU ms a sample, up to 8 at once", f"{before:.2f}", f"{after:.2f}", _times("together_ms", report)))
    lines = [f"  {'':32}{'before':>14}{'after':>14}", *(f"  {name:32}{one:>14}{other:>14}  {share}" for name, one, other, share in rows)]
    lines.append(
        f"  drift {report['drift']:.3g} of {report['max_drift']:g} allowed ({report['measure']}); "
        f"largest difference {report['max_abs_difference']:.3g}; {report['samples']} samples, {report['samples_of']}"
    )
    if report["labels_agree"] is not None:
        lines.append(f"  {report['labels_agree']:.1%} of the labels are the same")
    if report["beside"] is not None:
        lines.append(f"  what is computed in the same batch moves an answer by {report['beside']:.2g}")
    return "\n".join(lines) + "\n"


def _times(what: str, report: Mapping[str, Any]) -> str:
    return f"{report[f'{what}_before'] / report[f'{what}_after']:.2f}x {'smaller' if what == 'bytes' else 'as fast'}"
