"""Fuzz a reader of files: `pip install atheris`, then `python -m tests.property.fuzz READER -max_total_time=120`.

READER is a row of `READERS`; what follows goes to libFuzzer. An input that breaks the reader is written to the current
folder: keep it in `tests/data/strangers/READER`, where `test_strangers.py` reads it ever after.
"""

import json
import random
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import atheris
import tomli_w

with atheris.instrument_imports(include=["bsconv_nas", "tomllib"]):
    from tests.property.readers import READERS, example_of, holders

VALUES: list[Any] = [None, True, -1, 0, 1, 2, 3, 10**6, 2**63, 10**400, 0.5, -0.0, 1e308, float("nan"), float("inf")]
VALUES += ["", "S", "U", "S-1/4", "relu", "\x00", "9" * 400, [], {}, [[]], [1, 2], {"": 1}]


def change(data: Any, rng: random.Random) -> Any:
    """Replace, repeat or take out something in plain data."""
    places = holders(data)
    holder, key = rng.choice(places) if places else ([data], 0)
    if rng.random() < 0.6:
        holder[key] = rng.choice(VALUES)
    elif isinstance(holder, list):
        holder[key:key] = [holder[key]] * rng.choice([1, 1, 2, 100])
    else:
        del holder[key]
    return data


def change_json(data: bytes, rng: random.Random) -> bytes:
    return json.dumps(change(json.loads(data), rng)).encode()


def change_toml(data: bytes, rng: random.Random) -> bytes:
    return tomli_w.dumps(change(tomllib.loads(data.decode()), rng)).encode()


def change_safetensors(data: bytes, rng: random.Random) -> bytes:
    """Change the header, and now and then what its metadata say in JSON."""
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    metadata = header["__metadata__"]
    if rng.random() < 0.5:
        metadata["results"] = json.dumps(change(json.loads(metadata["results"]), rng))
    else:
        change(header, rng)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data[end:]


CHANGES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "arch": change_json,
    "study": change_toml,
    "space": change_toml,
    "checkpoint": change_safetensors,
}


def main(name: str, *options: str) -> None:
    corpus = Path(mkdtemp(prefix="fuzz-"))
    (corpus / "example").write_bytes(example_of(name))
    reader = READERS[name]
    reader(example_of(name))  # imports what it needs before anything is counted

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if rng.random() < 0.7:
            try:
                return CHANGES[name](data, rng)[:most]
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
                pass  # it is no such file any more
        return atheris.Mutate(data, most)

    atheris.Setup([sys.argv[0], *options, str(corpus)], reader, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
