"""The dashboard of a study as files that work from disk, with figures and tables beside it."""

import base64
import csv
import hashlib
import io
import json
import re
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import Any

from bsconv_nas.base.files import write_atomic
from bsconv_nas.dashboard.details import front_choices, trial_details
from bsconv_nas.dashboard.source import StudySource, importance_of, snapshot
from bsconv_nas.errors import BsconvNasError
from bsconv_nas.networks.metrics import cost_columns
from bsconv_nas.pareto import front_indices
from bsconv_nas.report.figures import draw_final, draw_front, draw_progress, final_data, front_data, progress_data
from bsconv_nas.study.arms import random_arm
from bsconv_nas.study.rows import Row

ASSETS = resources.files("bsconv_nas.dashboard") / "assets"
_SUFFIXES = ("svg", "png", "pdf")
MOST_TRIALS = 300  # with their layers in the page: the front, then the most accurate

_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([\w.]+)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?(?:function|class|const) (\w+))", re.MULTILINE)


def write_report(source: StudySource, folder: Path) -> list[str]:
    """Write index.html, pareto.csv, front.json and figures/ into a folder; the names of the files.

    With final results, these too: as a figure, and final.csv and final.md as `finalize` wrote them.

    Raises:
        StudyError: the study is gone.
        StorageError: the study cannot be read, or the folder not be written.
    """
    source.refresh()
    arm = _random_arm(source)
    write_atomic(folder / "index.html", _page_of(source, arm))
    front = front_of(source)
    write_atomic(folder / "pareto.csv", _csv(front, source.table.objective))
    write_atomic(folder / "front.json", json.dumps(_front_json(source, front), indent=1) + "\n")
    _draw(source, arm, folder / "figures")
    _write_final(source, folder)
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def _draw(source: StudySource, arm: StudySource | None, folder: Path) -> None:
    limits, floor, objective = source.facts["limits"], _floor(source), source.table.objective
    rows = list(source.table.rows.values())
    others = list(arm.table.rows.values()) if arm is not None else []
    steps = progress_data(limits, rows, floor, others, objective)
    random_steps = progress_data(limits, others, floor, rows, objective)
    for suffix in _SUFFIXES:
        draw_front(front_data(source.name, limits, rows, objective), folder / f"front.{suffix}")
        draw_progress(steps, folder / f"progress.{suffix}", random_steps if others else None, objective)


def _write_final(source: StudySource, folder: Path) -> None:
    final = source.final()
    if final is None or not final["rows"]:
        return
    for suffix in _SUFFIXES:
        draw_final(final_data(final), folder / "figures" / f"final.{suffix}")
    for suffix in ("csv", "md"):
        with suppress(FileNotFoundError):
            table = (source.folder / "final" / f"results.{suffix}").read_text(encoding="utf-8")
            write_atomic(folder / f"final.{suffix}", table)


def report_page(source: StudySource) -> str:
    """The whole page as one HTML text: style, program and data are inside, and nothing else is asked for.

    With the study comes its random arm, if that is in the same directory.

    Raises:
        StudyError: the study is gone.
        StorageError: the study cannot be read.
    """
    source.refresh()
    return _page_of(source, _random_arm(source))


def _random_arm(source: StudySource) -> StudySource | None:
    folder = random_arm(source.folder)
    if folder is not None:
        with suppress(BsconvNasError):  # an arm that cannot be read is left out
            arm = StudySource(folder)
            arm.refresh()
            return arm
    return None


def _page_of(source: StudySource, arm: StudySource | None) -> str:
    studies = [_study_data(one) for one in (source, arm) if one is not None]
    studies[0]["arm"] = arm.folder.name if arm is not None else None
    data = {"studies": studies}
    text = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return _page(text)


def front_of(source: StudySource) -> list[Row]:
    """Complete trials within the limits that no other dominates, by rising cost (`StudyTable.objective`)."""
    complete = [row for row in source.table.rows.values() if row.top1 is not None and row.allowed]
    return [complete[i] for i in front_indices([r.objective for r in complete], [r.top1 or 0.0 for r in complete])]


def _study_data(source: StudySource) -> dict[str, Any]:
    front = [row.number for row in front_of(source)]
    others = sorted(source.table.rows.values(), key=lambda row: -(row.top1 or 0.0))
    numbers = list(dict.fromkeys([*front, *(row.number for row in others)]))[:MOST_TRIALS]
    return {
        "key": source.folder.name,
        "name": source.name,
        "snapshot": snapshot(source),
        "trials": {number: trial_details(source, number) for number in numbers},
        "choices": front_choices(source, front),
        "importance": importance_of(source),
    }


def _page(data: str) -> str:
    """`index.html` with its files put inside, allowed by their hashes and nothing else allowed."""
    html = _asset("index.html")
    styles = "\n".join(_asset(name) for name in re.findall(r'href="assets/(\w+\.css)"', html))
    theme, program = _asset("theme.js"), bundle("main.js")
    icon = base64.b64encode(_asset("favicon.svg").encode()).decode()
    policy = (
        f"default-src 'none'; script-src {_hash(theme)} {_hash(program)}; style-src {_hash(styles)}; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    head = [
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        f'<link rel="icon" href="data:image/svg+xml;base64,{icon}">',
        f"<script>{theme}</script>",
        f"<style>{styles}</style>",
        f'<script type="application/json" id="report-data">{data}</script>',
        f'<script type="module">{program}</script>',
    ]
    lines = [line for line in html.splitlines() if not re.match(r"<(link|script) ", line)]
    at = lines.index("</head>")
    return "\n".join([*lines[:at], *head, *lines[at:], ""])


def bundle(name: str) -> str:
    """A module of the page with all that it imports as one program: browsers load no modules from disk."""
    done: dict[str, str] = {}
    _add_module(name, done)
    return "const modules = {};\n" + "\n".join(done.values())


def _add_module(name: str, done: dict[str, str]) -> None:
    if name in done:
        return
    text = _asset(name)
    for _, other in _IMPORT.findall(text):
        _add_module(other, done)
    exported = ", ".join(name for _, name in _EXPORT.findall(text))
    text = _IMPORT.sub(r'const {\1} = modules["\2"];', text)
    text = _EXPORT.sub(r"\1", text)
    done[name] = f'modules["{name}"] = (() => {{\n{text}return {{ {exported} }};\n}})();'


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _floor(source: StudySource) -> float:
    classes = source.facts["classes"]
    return 1 / classes if classes else 0.0


def _csv(front: list[Row], objective: str) -> str:
    costs = cost_columns((name for row in front for name in row.cost), objective)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["trial", "arch_id", *costs, "val_top1"])
    for row in front:
        writer.writerow([row.number, row.identity, *(row.cost.get(name) for name in costs), row.top1])
    return stream.getvalue()


def _front_json(source: StudySource, front: list[Row]) -> dict[str, Any]:
    genes = source.table.genotypes([row.number for row in front]) if source.file.is_custom else {}
    members = [
        {
            "trial": row.number,
            "arch_id": row.identity,
            "val_top1": row.top1,
            "cost": stored["cost"],
            "arch": stored.get("arch"),
            **({"genes": genes[row.number]} if genes else {}),
        }
        for row in front
        for stored in [source.table.user_attributes(row.number)]
    ]
    facts = {"study": source.name, "objective": source.table.objective, "limits": source.facts["limits"]}
    return {"schema_version": 1, **facts, "front": members}
