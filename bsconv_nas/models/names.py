"""The names of the reference networks.

    [cifar_]mobilenet(v1|v2|v3_small|v3_large)_w<X>[d<Y>][_bsconvu | _bsconvs_p1d6]
    (pre)resnet{10,18,26,34,68,102}, cifar_(pre)resnet{20,56,110,302,602}, cifar_wrn{16,28,40}_<k>, each with
    nothing, _bsconvu or _bsconvs_p<X>d<Y>

`w3d4` is a width of 3/4, `p1d8` a ratio p of 1/8. Upper and lower case are the same.
"""

import difflib
import re
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from itertools import takewhile
from typing import NamedTuple

from bsconv_nas.errors import UsageError
from bsconv_nas.models.mobilenet import VERSIONS, least_width
from bsconv_nas.models.resnet import CIFAR_DEPTHS, IMAGENET_DEPTHS, WIDE_DEPTHS, ResNetSpec

_MOBILENET = re.compile(
    rf"(?P<cifar>cifar_)?mobilenet(?P<version>{'|'.join(VERSIONS)})_w(?P<width>[0-9]+(?:d[0-9]+)?)"
    r"(?:_(?P<bsconv>bsconvu|bsconvs_p1d6))?"
)
_RESNET = re.compile(
    r"(?P<cifar>cifar_)?(?P<kind>(?:pre)?resnet|wrn)(?P<depth>[0-9]+)(?:_(?P<width>[0-9]+))?"
    r"(?:_(?P<bsconv>bsconvu|bsconvs_p(?P<p>[0-9]+d[0-9]+)))?"
)
_MOBILENET_VARIANT = dict.fromkeys(VERSIONS, "bsconvs_p1d6") | {"v1": "bsconvu"}


class MobileNetSpec(NamedTuple):
    """A MobileNet by its numbers; `bsconv` is the blueprint variant of its version."""

    version: str
    width: Fraction
    cifar: bool
    bsconv: bool


def parse_name(name: str) -> MobileNetSpec | ResNetSpec:
    """Read the name of a reference network, whatever its case.

    Raises:
        UsageError: not such a name; the message names the nearest one that is.
    """
    text = name.lower()
    spec = _parse_mobilenet(text) if "mobilenet" in text else _parse_resnet(text)
    if isinstance(spec, str):
        raise UsageError(f"model {name!r} is unknown: {spec}; the nearest valid name is {_nearest(text)!r}")
    return spec


@cache
def listed_models() -> tuple[str, ...]:
    """The 236 names that the original library lists, sorted."""
    return tuple(sorted([*_mobilenet_names(), *_resnet_names()]))


@cache
def known_models() -> tuple[str, ...]:
    """The listed names and the six others with published results, sorted. The grammar allows many more."""
    wide = [f"cifar_wrn{depth}_3{suffix}" for depth in (28, 40) for suffix in ("", "_bsconvu", "_bsconvs_p1d4")]
    return tuple(sorted([*listed_models(), *wide]))


def _parse_mobilenet(text: str) -> MobileNetSpec | str:
    """The specification, or what is wrong."""
    match = _MOBILENET.fullmatch(text)
    if match is None:
        return "MobileNets are [cifar_]mobilenet(v1|v2|v3_small|v3_large)_w<X>[d<Y>] and end at most in a variant"
    version, variant = match["version"], match["bsconv"]
    if variant not in (None, _MOBILENET_VARIANT[version]):
        return f"the only variant of MobileNet{version} is _{_MOBILENET_VARIANT[version]}"
    width = _fraction(match["width"])
    if width is None:
        return f"the width w{match['width']} divides by zero"
    if width < least_width(version):
        return f"width {match['width']} leaves a layer without channels, allowed from w{_text(least_width(version))}"
    return MobileNetSpec(version, width, match["cifar"] is not None, variant is not None)


def _parse_resnet(text: str) -> ResNetSpec | str:
    """The specification, or what is wrong."""
    match = _RESNET.fullmatch(text)
    if match is None:
        return "allowed are MobileNets, ResNets and WRNs, with at most _bsconvu or _bsconvs_p<X>d<Y> at the end"
    family, cifar, depth = match["kind"], match["cifar"] is not None, int(match["depth"])
    wide = family == "wrn"
    depths = WIDE_DEPTHS if wide else CIFAR_DEPTHS if cifar else IMAGENET_DEPTHS
    if depth not in depths:
        return f"depth {depth} does not exist, allowed for it are {', '.join(map(str, depths))}"
    if wide != (match["width"] is not None) or wide > cifar:
        return "WRNs are cifar_wrn{16,28,40}_<k>, and only they have a width"
    width = int(match["width"] or 1)
    if width < 1:
        return f"width {width} leaves layers without channels, allowed from 1"
    p = _fraction(match["p"]) if match["p"] else None
    if match["p"] and (p is None or p > 1):
        return f"the ratio p{match['p']} {'divides by zero' if p is None else 'is outside of 0 to 1'}"
    bsconv = match["bsconv"] and match["bsconv"][len("bsconv")].upper()
    return ResNetSpec(depths[depth], cifar, family != "resnet", width, bsconv, None if p is None else float(p))


def _fraction(text: str) -> Fraction | None:
    """`3d4` is 3/4; a zero denominator is no number."""
    numerator, _, denominator = text.partition("d")
    return Fraction(int(numerator), int(denominator or 1)) if int(denominator or 1) else None


def _text(fraction: Fraction) -> str:
    return str(fraction).replace("/", "d")


def _nearest(text: str) -> str:
    """The most similar name among the known ones and the variants of what `text` begins with."""
    names = list(known_models())
    for pattern in (_MOBILENET, _RESNET):
        match = pattern.match(text)
        base = match[0].partition("_bsconv")[0] if match else ""
        for suffix in ("", "_bsconvu", "_bsconvs_p1d6", "_bsconvs_p1d4", "_bsconvs_p1d8", "_bsconvs_p1d1"):
            parse = _parse_mobilenet if "mobilenet" in base else _parse_resnet
            if base and not isinstance(parse(base + suffix), str):
                names.append(base + suffix)
    return max(names, key=lambda name: _similarity(text, name))


def _similarity(text: str, name: str) -> float:
    """Names are read from the left, so what they begin with counts as much as all that they share."""
    common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(text, name, strict=False)))
    return common / max(1, len(text)) + difflib.SequenceMatcher(None, text, name).ratio()


def _mobilenet_names() -> Iterator[str]:
    for version in VERSIONS:
        smallest = "7d20" if version.startswith("v3") else "1d4"
        for width in ("1", "3d4", "1d2", smallest):
            for prefix in ("", "cifar_"):
                name = f"{prefix}mobilenet{version}_w{width}"
                yield from (name, f"{name}_{_MOBILENET_VARIANT[version]}")


def _resnet_names() -> Iterator[str]:
    bases = [f"{family}{depth}" for family in ("resnet", "preresnet") for depth in IMAGENET_DEPTHS]
    bases += [f"cifar_{family}{depth}" for family in ("resnet", "preresnet") for depth in CIFAR_DEPTHS]
    bases += [f"cifar_wrn{depth}_{width}" for depth in WIDE_DEPTHS for width in (1, 2, 4, 6, 8, 10, 12)]
    for base in bases:
        yield from (f"{base}{suffix}" for suffix in ("", "_bsconvu", "_bsconvs_p1d4", "_bsconvs_p1d8"))
