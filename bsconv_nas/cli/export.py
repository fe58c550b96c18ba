"""`bsconv-nas export`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bsconv_nas.base.units import format_amount, parse_amount
from bsconv_nas.cli.console import DirOption, StorageOption, err, out
from bsconv_nas.cli.targets import chosen_trial, is_reference
from bsconv_nas.errors import StudyError, UsageError
from bsconv_nas.study.custom import check_networks
from bsconv_nas.study.locate import DEFAULT_DIR, load_study

_RUNS = Path("runs")


def export(
    to: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="Folder to write.")],
    network: Annotated[
        str | None,
        typer.Argument(
            metavar="STUDY|FOLDER|NAME",
            help="A study (default: the latest), the folder of a finished training, or a reference network that was "
            "trained into runs/.",
        ),
    ] = None,
    trial: Annotated[int | None, typer.Option(metavar="N", help="Trial (default: the best).")] = None,
    flops: Annotated[
        str | None,
        typer.Option("--flops", "--macs", metavar="AMOUNT", help="The best of the front within so many MACs."),
    ] = None,
    formats: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="NAMES",
            help="Formats with commas, such as onnx,int8; torch writes model.py alone. (default: all)",
        ),
    ] = None,
    data: Annotated[
        str | None, typer.Option(metavar="NAME|FOLDER", help="Where the images for int8 are now, if they moved.")
    ] = None,
    directory: DirOption = DEFAULT_DIR,
    storage: StorageOption = None,
    force: Annotated[bool, typer.Option("--force", metavar="", help="Replace the folder if it exists.")] = False,
) -> None:
    """Write a network as files that run without this tool, and check that they do.

    Takes the weights of the final training (see finalize) where there are, else those of the search. Always writes
    model.py, weights, arch.json, preprocess.json, MODEL_CARD.md and verify.py.
    """
    from bsconv_nas.engine.interrupt import terminable
    from bsconv_nas.export.folder import check_target, export_network
    from bsconv_nas.export.formats import find_formats

    rows = find_formats(formats)
    check_target(to, force)
    source = _source(network, trial, flops, directory, storage)
    wanted = any(row.approximate and not row.missing() for row in rows)
    images = _images(source, data) if wanted else None
    with terminable(), err.status(f"writing and checking {to}/"):
        exported = export_network(source, to, rows, images, force)
    out.print(f"Exported {source.title} to {to}/, checked in a fresh process:", highlight=False, markup=False)
    for name, meaning in exported.files.items():
        out.print(f"  {name:<18} {meaning}", highlight=False, markup=False)
    for name, reason in exported.skipped.items():
        err.print(f"not written: {name} {reason}", highlight=False, markup=False)
    if exported.skipped and formats is not None:
        raise typer.Exit(1)


def _source(what: str | None, trial: int | None, flops: str | None, directory: Path, storage: str | None) -> Any:
    from bsconv_nas.export.source import training_source, trial_source
    from bsconv_nas.train.full import RESULT

    if trial is not None and flops is not None:
        raise UsageError("--trial and --flops both choose a network; give one of them")
    if what is not None and (Path(what) / RESULT).is_file():
        return training_source(Path(what))
    if what is not None and not (directory / what).exists() and is_reference(what):
        return training_source(_training_of(what.lower()))
    study = load_study(what, directory, storage)
    check_networks(study)
    if flops is None:
        return trial_source(study, chosen_trial(study, trial))
    budget = parse_amount(flops, "--flops")
    members = [record for record in study.front() if record.cost["macs"] <= budget]
    if not members:
        least = min((record.cost["macs"] for record in study.front()), default=0)
        raise StudyError(f"the front of {study.name!r} begins at {format_amount(least)} MACs; choose another --flops")
    return trial_source(study, members[-1])


def _training_of(name: str) -> Path:
    """The folder of the latest finished training of a reference network."""
    from bsconv_nas.train.full import RESULT

    results = sorted(_RUNS.glob(f"{name}-*/{RESULT}"), key=lambda path: path.stat().st_mtime)
    if not results:
        raise UsageError(f"{name} has no weights: no finished training in {_RUNS}/; run `bsconv-nas train {name}`")
    return results[-1].parent


def _images(source: Any, data: str | None) -> Any:
    """The images that the network was trained on; None where they are gone."""
    from bsconv_nas.data import load_search_data

    try:
        images = load_search_data(
            data or source.data, image_size=min(source.image_size), skip_bad_images=source.skip_bad_images
        )
    except UsageError as error:
        if data is not None:
            raise
        err.print(f"warning: {error}", highlight=False, markup=False)
        return None
    if images.fingerprint == source.data_fingerprint:
        return images
    if data is not None:
        raise UsageError(f"{data} holds other images than the network was trained on; give the same by --data")
    err.print(f"warning: {source.data} has changed since the training", highlight=False, markup=False)
    return None
