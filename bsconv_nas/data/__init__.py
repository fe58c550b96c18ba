"""Images to search on, decoded once and shared by all processes of a machine; the test part is loaded apart.

`load_search_data` never touches the test part; `load_test_data` reads nothing else. A new data set is one row of
`DATASETS` and the file with its loaders.
"""

from bsconv_nas.data.caveats import caveats
from bsconv_nas.data.datasets import (
    DATASETS,
    FOLDER,
    Dataset,
    check_test_part,
    find_dataset,
    load_search_data,
    load_test_data,
)
from bsconv_nas.data.images import ImageData, TestData
from bsconv_nas.data.options import LoadOptions

__all__ = [
    "DATASETS",
    "FOLDER",
    "Dataset",
    "ImageData",
    "LoadOptions",
    "TestData",
    "caveats",
    "check_test_part",
    "find_dataset",
    "load_search_data",
    "load_test_data",
]
