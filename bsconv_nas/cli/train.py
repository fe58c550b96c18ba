"""`bsconv-nas train`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from bsconv_nas.base.text import did_you_mean
from bsconv_nas.base.units import format_duration
from bsconv_nas.cli.console import DirOption, JsonOption, err, out, print_json
from bsconv_nas.cli.search_options import (
    DataOption,
    DownloadOption,
    ImageSizeOption,
    PrecisionOption,
    SkipBadImagesOption,
)
from bsconv_nas.cli.tables import percent
from bsconv_nas.cli.targets import NETWORK_HELP, build_target, find_target
from bsconv_nas.errors import UsageError
from bsconv_nas.study.locate import DEFAULT_DIR


def train(
    network: Annotated[str, typer.Argument(metavar="NETWORK", help=NETWORK_HELP)],
    data: DataOption = None,
    image_size: ImageSizeOption = None,
    download: DownloadOption = False,
    skip_bad_images: SkipBadImagesOption = False,
    recipe: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="modern, or seed: the recipe of the original bsconv library (SGD 0.1, steps at 100, 150, 180 of 200 "
            "epochs; for MobileNetV3 add --weight-decay 5e-4).",
        ),
    ] = "modern",
    epochs: Annotated[int | None, typer.Option(help="Epochs. (default: the recipe's)")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images per step. (default: the recipe's)")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Highest learning rate. (default: the recipe's)")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Weight decay. (default: the recipe's)")] = None,
    alpha: Annotated[
        float | None, typer.Option(help="Weight of the BSConv-S regulariser. (default: the recipe's)")
    ] = None,
    precision: PrecisionOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the initial weights and of the order of the images.")] = 0,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FOLDER", help="Folder of the training. (default: runs/...)")
    ] = None,
    directory: DirOption = DEFAULT_DIR,
    as_json: JsonOption = False,
) -> None:
    """Train a network fully, then test it once; run it again to continue.

    Keeps the weights of the best epoch by validation; the test part is read only at the end.
    """
    from bsconv_nas.data import check_test_part, find_dataset, load_search_data, load_test_data
    from bsconv_nas.plan import slug
    from bsconv_nas.train.full import FullTraining, default_device, finished_result

    changes: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "weight_decay": weight_decay,
        "orthonormal_alpha": alpha,
        "precision": precision,
    }
    chosen = _recipe(recipe, {name: value for name, value in changes.items() if value is not None})
    target = find_target(network, directory=directory)
    options: dict[str, Any] = {"image_size": image_size, "download": download, "skip_bad_images": skip_bad_images}
    images = load_search_data(data, **options)
    if recipe == "modern" and batch_size is None:
        chosen = chosen.for_data(len(images.train_images), min(images.image_size))
    chosen = chosen.model_copy(update={"flip": find_dataset(data).flip})
    model = build_target(target, images.num_classes, images.image_size, seed)
    name = target.name.replace(":", "-")
    folder = to or Path("runs") / f"{name}-{slug(images.name)}-{recipe}-e{chosen.epochs}-s{seed}"
    training = FullTraining(target.name, model, images, chosen, seed, folder, default_device())
    result = finished_result(folder, training.key)
    if result is None:
        check_test_part(data)
        _run(training, show=not as_json)
        result = training.finish(lambda: load_test_data(data, **options))
    if as_json:
        print_json({**asdict(result), "folder": str(folder)})
        return
    _print(result, folder)


def _recipe(name: str, changes: dict[str, Any]) -> Any:
    from bsconv_nas.base.toml_files import check_toml
    from bsconv_nas.train.full import default_device
    from bsconv_nas.train.precision import fastest_precision
    from bsconv_nas.train.recipe import FULL_RECIPES, Recipe

    if name not in FULL_RECIPES:
        raise UsageError(f"unknown recipe {name!r}; {did_you_mean(name, FULL_RECIPES)}")
    if name == "modern" and "precision" not in changes:
        changes = {**changes, "precision": fastest_precision(default_device())}
    return check_toml({**FULL_RECIPES[name].model_dump(), **changes}, Recipe, "options")


def _print(result: Any, folder: Path) -> None:
    low, high = result.test_interval
    out.print(
        f"{result.model}: test top-1 {percent(result.test_top1)} "
        f"(95 % interval {100 * low:.2f} to {100 * high:.2f} % on {result.test_images} images), "
        f"val top-1 {percent(result.val_top1)} at epoch {result.best_epoch} of "
        f"{result.epochs}, {format_duration(result.seconds)} of training\nFolder: {folder}",
        highlight=False,
    )


def _run(training: Any, show: bool) -> None:
    """Train with a progress bar on a terminal, which moves with every step; one line per epoch elsewhere."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, disable=not (show and err.is_terminal)) as bar:
        task = bar.add_task(training.model, total=None)
        for result in training.run(lambda done, steps: bar.update(task, completed=done, total=steps)):
            loss = result.metrics["train_loss"]
            text = f"epoch {result.epoch}/{result.epochs}: loss {loss:.3f}, val {percent(result.top1)}"
            bar.update(task, description=text)
            if show and not err.is_terminal:
                err.print(text, highlight=False, markup=False)
