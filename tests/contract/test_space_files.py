"""Files that describe a search space: how they are found, and how bad ones are refused."""

from pathlib import Path

import pytest

from bsconv_nas.base.packaged import packaged_folder
from bsconv_nas.errors import UsageError
from bsconv_nas.spaces.files import find_space, space_for_images
from bsconv_nas.spaces.networks import ArchSpace
from tests.space_files import PACKAGED_SIZES, space_file, stage


@pytest.mark.parametrize(
    ("side", "name"),
    [
        (1, "quick"),
        (8, "quick"),
        (16, "quick"),
        (17, "cifar"),
        (32, "cifar"),
        (64, "cifar"),
        (65, "mobile"),
        (224, "mobile"),
        (4_096, "mobile"),
        (9_999, "mobile"),
    ],
)
def test_the_packaged_space_for_images(side: int, name: str) -> None:
    assert space_for_images(side, side) == name
    assert space_for_images(side, side + 300) == space_for_images(side + 300, side) == name


@pytest.mark.parametrize("name", PACKAGED_SIZES)
def test_packaged_files_carry_their_own_name(name: str) -> None:
    assert find_space(name).name == name
    assert find_space(name).title


def test_a_space_is_found_by_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(_quick_text().replace('"quick"', '"mine"'))
    assert find_space(str(path)).name == "mine"
    (tmp_path / "no-suffix").write_text(_quick_text())
    assert find_space(str(tmp_path / "no-suffix")) == find_space("quick")


def test_unknown_spaces_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"unknown search space 'cifra'; did you mean 'cifar'\?.*path of a \.toml file"
    ):
        find_space("cifra")
    with pytest.raises(UsageError, match=r"cannot read .*absent\.toml: No such file"):
        find_space(str(tmp_path / "absent.toml"))


def _quick_text() -> str:
    return (packaged_folder("search_spaces") / "quick.toml").read_text()


BAD_FILES = [
    ("schema_version = 1", "schema_version = 2", "schema_version is 2"),
    ("schema_version = 1\n", "", "lacks 'schema_version'; add it"),
    ('name = "quick"', 'name = "Quick!"', "name is 'Quick!'"),
    ("image_size = [1, 16]", "image_size = [16, 1]", "image_size is [16, 1]; allowed: [least, greatest]"),
    ("image_size = [1, 16]", "image_size = [0, 16]", "image_size is [0, 16]; allowed"),
    ("image_size = [1, 16]", "image_size = 16", "image_size is 16"),
    ("[stem]\n", "[stem]\nkernel = 3\n", "unknown key 'stem.kernel'; did you mean 'kernel_size'"),
    ("[stem]\n", "[stem]\nkernel_size = 4\n", "stem.kernel_size is 4; allowed: odd kernel sizes"),
    ("[stem]\nout_channels = [8, 16]\nstride = 1\n", "", "lacks 'stem'; add it"),
    ("out_channels = [8, 16]", "out_channels = []", "stem.out_channels is []; allowed: at least one choice"),
    ("out_channels = [8, 16]", "out_channels = [8, 8]", "stem.out_channels is [8, 8]; list each choice once"),
    ("out_channels = [8, 16]", "out_channels = [0]", "stem.out_channels.0 is 0"),
    ("out_channels = [8, 16]", "out_channels = [8.0]", "stem.out_channels.0 is 8.0"),
    ("out_channels = [8, 16]", "out_channels = [true]", "stem.out_channels.0 is True"),
    ("out_channels = [8, 16]", "out_channels = 8", "stem.out_channels is 8"),
    ('"S-1/8"', '"S-1/0"', "layers.conv.0 is 'S-1/0'; ratio '1/0' of S"),
    ('"S-1/8"', '"S-1/00"', "layers.conv.0 is 'S-1/00'; ratio '1/00' of S"),
    ('"S-1/8"', '"S-0/4"', "ratio '0/4' of S"),
    ('"S-1/8"', '"S-3/2"', "allowed are fractions up to 1, for example S-1/4"),
    ('"S-1/8"', '"S-2/4"', "write S-1/2, the ratio in lowest terms"),
    ('"S-1/8"', '"S-0.5"', "ratio '0.5' of S"),
    ('"S-1/8"', '"S-"', "ratio '' of S"),
    ('"S-1/8"', '"S"', "layers.conv.0 is 'S'; write S-1/4 (with a ratio)"),
    ('"S-1/8"', '"U-1/2"', "layers.conv.0 is 'U-1/2'; write U (it has no ratio)"),
    ('"S-1/8"', '"Q"', "layers.conv.0 is 'Q'; unknown layer type 'Q'; known: S, U"),
    ('"S-1/8"', '"U"', "list each choice once"),
    ('"S-1/8"', "3", "layers.conv.0 is 3"),
    ("kernel_size = [3, 5, 7]", "kernel_size = [3, 4]", "layers.kernel_size.1 is 4; allowed: odd kernel sizes"),
    ("kernel_size = [3, 5, 7]", "kernel_size = [33]", "layers.kernel_size.0 is 33"),
    ('"layer", "pair"]', '"layers"]', "network.shortcut.1 is 'layers'"),
    ("se = [false, true]", "se = [0, 1]", "network.se.0 is 0"),
    ("se = [false, true]", 'activation = ["tanh"]', "network.activation.0 is 'tanh'"),
    ("se = [false, true]", "dropout = 1.0", "network.dropout is 1.0"),
    ("se = [false, true]", "head_channels = [-1]", "network.head_channels.0 is -1"),
    ("width = [8, 16, 24, 32]", "widht = [8]", "unknown key 'stages.0.widht'; did you mean 'width'"),
    ("width = [8, 16, 24, 32]", "", "lacks 'stages.0.width'; add it"),
    ("width = [8, 16, 24, 32]", "width = [8]\nkernel_size = []", "stages.0.kernel_size is []"),
    ("width = [8, 16, 24, 32]", "width = [8]\nkernel_size = [3, 3]", "stages.0.kernel_size is [3, 3]; list each"),
    ("width = [8, 16, 24, 32]", "width = [8]\nkernel_size = [2]", "stages.0.kernel_size.0 is 2; allowed: odd"),
    ("[[stages]]\nstride = 1", "[[stages]]\nstride = 3", "stages.0.stride is 3"),
    ("depth = [0, 1, 2]", "depth = [-1]", "stages.2.depth.0 is -1"),
    ("[[stages]]", "[[stage]]", "unknown key 'stage'; did you mean 'stages'"),
    ("[[stages]]", "[stages]", "is not TOML"),
]


@pytest.mark.parametrize(("old", "new", "expected"), BAD_FILES)
def test_a_bad_file_is_refused_in_one_line(tmp_path: Path, old: str, new: str, expected: str) -> None:
    text = _quick_text()
    assert old in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old, new))
    with pytest.raises(UsageError) as caught:
        find_space(str(path))
    message = str(caught.value)
    assert message.startswith(str(path))
    assert expected in message
    assert "\n" not in message


@pytest.mark.parametrize("number", [0, 17])
def test_a_space_has_1_to_16_stages(number: int) -> None:
    with pytest.raises(UsageError, match="stages"):
        space_file(stages=[stage(1, [1], [8])] * number)


def test_values_that_python_takes_for_1_become_1() -> None:
    """TOML's true and 1.0 equal 1 in Python; whatever is let through must not reach the architecture as such."""
    space = ArchSpace(space_file(stages=[stage(1.0, [1, 2], [8])]), (8, 8), 2)  # type: ignore[arg-type]
    arch = space.decode(next(space.enumerate()))
    assert type(arch.layers[0].stride) is int
