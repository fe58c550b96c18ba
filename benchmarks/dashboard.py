"""How fast the dashboard is, and what it costs a search.

    python -m benchmarks.dashboard [--trials 10000] [--repeats 5] [--search 24 --pairs 2] [--out FILE.json]

On a made-up study of so many trials, with a real Chromium: first paint and plot ready (from the start of navigation;
the first of the repeats with a server that has read nothing yet), from a commit to the screen, bytes per update, and
memory of the server. With `--search`, so many networks of the digits are searched by 2 workers with and without an
open dashboard, in turns; what is compared is trials per second after the first completion, of the same random networks
each time. A search of 24 takes more than two minutes.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from playwright.sync_api import Browser, sync_playwright

from benchmarks.made_up_study import MadeUpStudy
from bsconv_nas.study.locate import load_study
from bsconv_nas.study.settings import provenance

CLI = [sys.executable, "-m", "bsconv_nas"]
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
WATCH = """
new PerformanceObserver((list) => list.getEntries().forEach((e) => console.debug(`${e.name} ${e.startTime}`)))
  .observe({ type: "paint", buffered: true });
new MutationObserver(() => {
  const shown = document.documentElement?.dataset.drawn;
  if (shown !== undefined && shown !== window.lastDrawn) console.debug(`drawn ${performance.now()}`);
  window.lastDrawn = shown;
}).observe(document, { attributes: true, childList: true, subtree: true });
"""


@contextmanager
def dashboard(directory: Path) -> Generator[tuple[str, int]]:
    """A dashboard in a process of its own: its link and process id."""
    command = [*CLI, "dashboard", "--dir", str(directory), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            link = re.search(r"http://\S+", process.stdout.readline())
            assert link is not None
            while True:
                try:
                    urlopen(link[0]).read()
                    break
                except OSError:
                    time.sleep(0.05)
            yield link[0], process.pid
        finally:
            process.terminate()
            process.wait()


def opened(browser: Browser, link: str) -> tuple[Any, dict[str, float]]:
    """A page that is drawn, and milliseconds from navigation to first paint and to the drawn plot."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    times: dict[str, float] = {}
    page.on("console", lambda message: times.setdefault(message.text.split()[0], float(message.text.split()[1])))
    page.add_init_script(WATCH)
    page.goto(link)
    page.locator("html.ready[data-drawn]").wait_for(state="attached", timeout=120_000)
    page.locator("#front-chart .mark.front").wait_for(state="attached", timeout=120_000)
    return page, {"first_paint_ms": times.get("first-contentful-paint", 0.0), "plot_ready_ms": times.get("drawn", 0.0)}


def page_times(browser: Browser, study: MadeUpStudy, repeats: int) -> dict[str, Any]:
    """First paint, plot ready, commit to screen, and memory of the server."""
    with dashboard(study.folder.parent) as (link, pid):
        opens: list[dict[str, float]] = []
        delays: list[float] = []
        for _ in range(repeats):
            page, times = opened(browser, link)
            opens.append(times)
            study.add(1)
            began = time.monotonic()
            page.locator("#numbers", has_text=str(study.count)).wait_for(timeout=60_000)
            delays.append(time.monotonic() - began)
            page.close()
        return {
            "cold": opens[0],
            "warm_median": {key: statistics.median(o[key] for o in opens[1:] or opens) for key in opens[0]},
            "commit_to_screen_s": {"median": statistics.median(delays), "max": max(delays)},
            "server_mb": memory_mb(pid),
        }


def update_bytes(study: MadeUpStudy) -> int:
    """Bytes on the wire of the update after one trial."""
    with dashboard(study.folder.parent) as (link, _):
        with urlopen(f"{link}api/snapshot?study={study.folder.name}") as answer:
            start = json.load(answer)
        with urlopen(f"{link}api/stream?study={study.folder.name}:{start['epoch']}:{start['revision']}") as stream:
            stream.readline()  # how the study stands
            study.add(1)
            return len(next(line for line in stream if line.startswith(b'data: {"') and b'"rows":[[' in line))


def memory_mb(pid: int) -> float:
    """Proportional share of memory of a process, in MB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    memory = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    assert memory is not None
    return round(int(memory[1]) / 1000, 1)


def search_rate(browser: Browser, folder: Path, trials: int, watched: bool) -> dict[str, Any]:
    """Trials per second of a search with 2 workers, with or without a dashboard that is open; its CPU time too."""
    command = [*CLI, "search", "--trials", str(trials), "--sampler", "random", "--workers", "2", "--dir", str(folder)]
    command += ["--study", "s", "-q"]
    rates: dict[str, Any] = {}
    if not watched:
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    else:
        folder.mkdir(parents=True)
        with dashboard(folder) as (link, pid):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto(link)
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            page.locator("#numbers", has_text=f"of {trials} trials ended").wait_for(timeout=60_000)
            rates["server_cpu_s"] = cpu_seconds(pid)
            page.close()
    assert "locked" not in done.stdout + done.stderr
    records = load_study("s", folder).records
    assert all(record.top1 is not None for record in records), "a failed trial costs no training"
    ended = [record.completed for record in records if record.completed is not None]
    rates["trials_per_second"] = (len(ended) - 1) / (ended[-1] - ended[0]).total_seconds()
    print(f"{'watched' if watched else 'alone':<8}", rates, file=sys.stderr)
    return rates


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def search_rates(browser: Browser, folder: Path, trials: int, pairs: int) -> dict[str, Any]:
    """Searches alone and watched, in turns; the ratio of their rates."""
    runs: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
    for pair in range(pairs):
        for watched in (False, True) if pair % 2 == 0 else (True, False):
            runs[watched].append(search_rate(browser, folder / f"search-{pair}-{watched}", trials, watched))
    rates = {watched: [run["trials_per_second"] for run in of] for watched, of in runs.items()}
    return {
        "trials": trials,
        "alone": rates[False],
        "watched": rates[True],
        "ratio": sum(rates[True]) / sum(rates[False]),
        "server_cpu_s": [run["server_cpu_s"] for run in runs[True]],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--search", type=int, default=0, metavar="TRIALS")
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    result: dict[str, Any] = {"schema_version": 1, "when": datetime.now().isoformat("T", "minutes"), **provenance()}
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=ARGUMENTS)
        if arguments.trials:
            study = MadeUpStudy(Path(folder) / "pages" / "made-up", asked=arguments.trials)
            study.add(arguments.trials)
            result |= {"trials": arguments.trials, "page": page_times(browser, study, arguments.repeats)}
            result["update_bytes"] = update_bytes(study)
        if arguments.search:
            result["search"] = search_rates(browser, Path(folder), arguments.search, arguments.pairs)
        browser.close()
    text = json.dumps(result, indent=1)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
