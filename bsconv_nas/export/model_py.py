"""`model.py` of an export: plain PyTorch that imports nothing of this package."""

import pprint
from pathlib import Path

from bsconv_nas.networks.arch import ArchSpec
from bsconv_nas.networks.cost import cost_of

_TEMPLATE = Path(__file__).with_name("model_template.py")


def model_py(arch: ArchSpec) -> str:
    """Source of a module that rebuilds the network (`build()`) and loads its weights (`load()`).

    It is `model_template.py` with the architecture put in its place.
    """
    cost = cost_of(arch)
    text = _TEMPLATE.read_text()
    text = text.replace(
        "ARCH: dict[str, Any] = {}",
        f"ARCH: dict[str, Any] = {pprint.pformat(arch.to_dict(), width=180, compact=True, sort_dicts=False)}",
    )
    header = f"Network {arch.arch_id}: {cost.macs:,} MACs, {cost.params:,} parameters."
    return text.replace("Network ARCH_ID.", header)
