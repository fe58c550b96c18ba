"""What settings are resolved to."""

import pytest

from bsconv_nas.plan import make_plan
from bsconv_nas.study.settings import SearchSettings


@pytest.mark.parametrize(
    ("image_size", "given", "share"), [(8, None, 0), (32, None, 0.5), (32, 0.0, 0), (8, 0.25, 0.25), (32, 0.25, 0.25)]
)
def test_smaller_images_come_first_unless_the_settings_say_otherwise(
    image_size: int, given: float | None, share: float
) -> None:
    settings = SearchSettings(image_size=image_size, small_first=given, workers=0)
    assert make_plan(settings).recipe.small_first == share
